"""What the compiler knows while it walks a program: the block it fills, the variables, what is proven of them."""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, NoReturn

from pybpf.lang import ir
from pybpf.lang.errors import CompileError
from pybpf.lang.values import Number, Pointer, Static, Value

if TYPE_CHECKING:
    from pybpf.asm import SourceLine
    from pybpf.lang.source import Source
    from pybpf.lang.target import Target


@dataclass(eq=False)
class Variable:
    """A local name. ``mutable`` ones own their register; the others are another name for a value."""

    name: str
    value: Value
    mutable: bool = False


@dataclass
class Flow:
    """What holds at one point of the program, whichever way control came there."""

    defined: set[Variable] = field(default_factory=set)
    nonnull: set[Variable] = field(default_factory=set)

    def copy(self) -> Flow:
        """An independent copy."""
        return Flow(set(self.defined), set(self.nonnull))


def merge(*flows: Flow | None) -> Flow | None:
    """What holds where control flows together; None stands for a place that is never reached."""
    reached = [flow for flow in flows if flow is not None]
    if not reached:
        return None
    result = reached[0].copy()
    for flow in reached[1:]:
        result.defined &= flow.defined
        result.nonnull &= flow.nonnull
    return result


@dataclass(eq=False)
class Loop:
    """Where ``break`` and ``continue`` lead, and what holds at each break."""

    after: ir.Block
    following: ir.Block
    breaks: list[Flow] = field(default_factory=list)
    continues: list[Flow] = field(default_factory=list)


@dataclass(eq=False)
class Frame:
    """One Python function being compiled: the program itself or one that is inlined into it."""

    source: Source
    variables: dict[str, Variable] = field(default_factory=dict)
    assignments: Counter[str] = field(default_factory=Counter)
    loops: list[Loop] = field(default_factory=list)
    protected: set[str] = field(default_factory=set)
    """Loop variables: assigning to them would not do what Python does."""
    join: ir.Block | None = None
    """Where ``return`` leads in an inlined function; None in the program itself."""
    result: Variable | None = None
    results: list[tuple[Value, Flow]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.assignments = assigned_names(self.source.node)


def assigned_names(node: ast.AST) -> Counter[str]:
    """How often each local name is assigned within ``node``; an augmented assignment counts twice."""
    counts: Counter[str] = Counter()
    for child in ast.walk(node):
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            counts[child.id] += 1
        if isinstance(child, ast.AugAssign) and isinstance(child.target, ast.Name):
            counts[child.target.id] += 1
        if isinstance(child, ast.For) and isinstance(child.target, ast.Name):
            counts[child.target.id] += 1
    return counts


class Lowering:
    """The state of one compilation; the other modules of this package are functions over it."""

    def __init__(self, function: ir.Function, source: Source, owner: Callable[[str], Any], target: Target) -> None:
        self.function = function
        self.owner = owner
        self.target = target
        self.frame = Frame(source)
        self.stack: list[Frame] = []
        self.flow: Flow | None = Flow()
        self.line: SourceLine | None = source.line(source.node)
        self.maps: set[str] = set()
        self.kernel_calls: set[str] = set()
        self._names: Counter[str] = Counter()
        self.block = self.start(self.new_block("entry"))

    # -- blocks and instructions

    def new_block(self, name: str) -> ir.Block:
        """A block that is not placed yet."""
        self._names[name] += 1
        count = self._names[name]
        return ir.Block(name if count == 1 else f"{name}.{count}")

    def start(self, block: ir.Block) -> ir.Block:
        """Place ``block`` and go on there."""
        self.function.blocks.append(block)
        self.block = block
        return block

    def emit(self, instr: ir.Instr) -> None:
        """Append an instruction to the current block, unless it cannot be reached."""
        instr.line = self.line
        if self.block.terminator is None:
            self.block.instructions.append(instr)

    def goto(self, block: ir.Block) -> None:
        """End the current block with a jump."""
        self.emit(ir.Goto(target=block))

    @property
    def reached(self) -> bool:
        """Whether control can come here at all."""
        return self.flow is not None

    def register(self, name: str = "") -> ir.VReg:
        """A new virtual register."""
        return self.function.register(name)

    def move(self, value: ir.Operand, name: str = "") -> ir.VReg:
        """A new register that holds ``value``."""
        register = self.register(name)
        self.emit(ir.Move(register, [value]))
        return register

    # -- places in the source

    def at(self, node: ast.AST) -> None:
        """Instructions from here on belong to the line of ``node``."""
        if hasattr(node, "lineno"):
            self.line = self.frame.source.line(node)

    def error(self, node: ast.AST, message: str, hint: str | None = None) -> NoReturn:
        """Stop: the program is wrong at ``node``."""
        raise CompileError(message, self.frame.source.line(node), hint)

    # -- variables

    def lookup(self, node: ast.Name) -> Value:
        """The value that a name has here."""
        variable = self.frame.variables.get(node.id)
        if variable is None:
            if node.id in self.frame.assignments:
                self.error(node, f"{node.id!r} is used before it is assigned")
            try:
                return Static(self.frame.source.lookup(node.id))
            except KeyError:
                self.error(node, f"{node.id!r} is not defined")
        if self.flow is not None and variable not in self.flow.defined:
            self.error(
                node,
                f"{node.id!r} may be used before it is assigned: not every way to this line sets it",
                hint=f"set {node.id!r} before the branch",
            )
        return self.read(variable)

    def read(self, variable: Variable) -> Value:
        """The value of ``variable`` with what is known here about None."""
        value = variable.value
        if isinstance(value, Pointer) and self.flow is not None:
            nullable = (value.nullable or variable.mutable) and variable not in self.flow.nonnull
            return Pointer(value.base, value.offset, value.target, value.space, nullable)
        return value

    def bind(self, name: str, value: Value) -> Variable:
        """Make ``name`` another name for ``value``."""
        variable = Variable(name, value)
        self.frame.variables[name] = variable
        if self.flow is not None:
            self.flow.defined.add(variable)
        return variable

    def settled(self, value: Value) -> Value:
        """``value``, copied if it lives in the register of a variable that may change."""
        for variable in self.frame.variables.values():
            if not variable.mutable:
                continue
            if isinstance(value, Number) and isinstance(variable.value, Number):
                if value.register is variable.value.register:
                    return Number(self.move(value.register), value.type)
            elif (
                isinstance(value, Pointer) and isinstance(variable.value, Pointer) and value.base is variable.value.base
            ):
                base = self.move(value.base) if isinstance(value.base, ir.VReg) else value.base
                return Pointer(base, value.offset, value.target, value.space, value.nullable)
        return value

    def self_attribute(self, node: ast.Attribute) -> Value:
        """An attribute of the program's class: a map, a constant, a function to inline."""
        try:
            return Static(self.owner(node.attr))
        except AttributeError as error:
            self.error(node, str(error), hint="declare maps and constants in the class body")
