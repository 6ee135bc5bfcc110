"""What the compiler knows while it walks a program: the block it fills, the variables, what is proven of them."""

from __future__ import annotations

import ast
import types
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Callable, NoReturn

from pybpf.lang import ir
from pybpf.lang.errors import CompileError
from pybpf.lang.lower.flow import Flow
from pybpf.lang.values import Number, Owner, Pointer, Space, Static, Value

if TYPE_CHECKING:
    from pybpf.asm import SourceLine
    from pybpf.lang.lower.choices import Choice
    from pybpf.lang.lower.flow import Loop
    from pybpf.lang.source import Source
    from pybpf.lang.target import Target
    from pybpf.types import Scalar


@dataclass(eq=False)
class Variable:
    """A local name. ``mutable`` ones own a register; the others are another name for a value.

    ``declared`` is the type that every value assigned to it is converted to.
    """

    name: str
    value: Value
    mutable: bool = False
    declared: Scalar | None = None


@dataclass(eq=False)
class Frame:
    """One Python function being compiled: the program itself or one that is inlined into it."""

    source: Source
    variables: dict[str, Variable] = field(default_factory=dict)
    loops: list[Loop] = field(default_factory=list)
    choice: Choice | None = None
    """What ``return`` gives its value to in an inlined function; None in the program itself."""
    returns: Scalar | None = None
    """The type that returned values are converted to."""
    exits: int = 0
    """Returns compiled so far."""

    def __post_init__(self) -> None:
        arguments = self.source.node.args
        self.parameters = {a.arg for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]}
        self.loop_names = loop_names(self.source.node)
        self.assignments = assigned_names(self.source.node)

    def is_mutable(self, name: str) -> bool:
        """Whether ``name`` gets a value at more than one place of the function."""
        return self.assignments[name] + (name in self.parameters) > 1

    def is_loop_variable(self, name: str) -> bool:
        """Whether ``name`` gets its values from the heads of loops only."""
        return self.assignments[name] == self.loop_names[name] > 0 and name not in self.parameters


def assigned_names(node: ast.AST) -> Counter[str]:
    """At how many places each local name is assigned within ``node``; an augmented assignment counts twice."""
    counts: Counter[str] = Counter()
    for child in ast.walk(node):
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            counts[child.id] += 1
        if isinstance(child, ast.AugAssign) and isinstance(child.target, ast.Name):
            counts[child.target.id] += 1
    return counts


def loop_names(node: ast.AST) -> Counter[str]:
    """The heads of how many loops within ``node`` set each name."""
    counts: Counter[str] = Counter()
    for child in ast.walk(node):
        if isinstance(child, ast.For):
            counts.update(assigned_names(child.target))
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
        self.kernel_calls: set[str] = set()
        self.copies = 0
        """Rounds of unrolled loops and inlined calls so far."""
        self.changing: set[ir.VReg] = set()
        """Registers of variables that are assigned more than once."""
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

    def copied(self, node: ast.AST, limit: int = 10_000) -> None:
        """Count a round of an unrolled loop or an inlined call: nested ones multiply."""
        self.copies += 1
        if self.copies > limit:
            self.error(
                node,
                f"the program gets too long here: more than {limit} rounds of unrolled loops and inlined calls",
                hint="use a real loop: for i in range(...)",
            )

    # -- variables

    def lookup(self, node: ast.Name) -> Value:
        """The value that a name has here."""
        variable = self.frame.variables.get(node.id)
        if variable is None:
            return self._outside(node)
        if self.flow is not None and variable not in self.flow.defined:
            if self.frame.is_loop_variable(node.id):
                self.error(
                    node,
                    f"{node.id!r} is known inside of its loop only",
                    hint=f"keep it under another name, set before the loop: last = {node.id}",
                )
            self.error(
                node,
                f"{node.id!r} may be used before it is assigned: not every way to this line sets it",
                hint=f"set {node.id!r} before the branch",
            )
        return self.read(variable)

    def _outside(self, node: ast.Name) -> Value:
        """What a name means that is not local."""
        name = node.id
        try:
            found = self.frame.source.lookup(name)
        except KeyError:
            if name in self.frame.assignments:
                self.error(node, f"{name!r} is used before it is assigned")
            hint = "import it at the top of the module, outside of `if TYPE_CHECKING:`"
            if name == "self":
                hint = "make self the first parameter"
            elif name.startswith("bpf_"):
                hint = f"helpers have no prefix: from pybpf.lang import {name[4:]}"
            self.error(node, f"{name!r} is not defined", hint)
        if name in self.frame.assignments:
            self.error(
                node,
                f"{name!r} is used before it is assigned: the function assigns it, so it is not the module's",
                hint="the names of a module are constants in a program; keep what changes in a map",
            )
        return Static(found)

    def read(self, variable: Variable) -> Value:
        """The value of ``variable`` with what is known here about None."""
        value = variable.value
        if isinstance(value, Pointer) and self.flow is not None:
            nullable = (value.nullable or variable.mutable) and variable not in self.flow.nonnull
            return replace(value, nullable=nullable)
        return value

    def bind(self, name: str, value: Value) -> Variable:
        """Make ``name`` another name for ``value``."""
        variable = Variable(name, self.settled(value))
        self.frame.variables[name] = variable
        if self.flow is not None:
            self.flow.define(variable, nonnull=isinstance(value, Pointer) and not value.nullable)
        return variable

    def settled(self, value: Value) -> Value:
        """``value``, copied if it lives in the register of a variable that may change."""
        if isinstance(value, Number) and value.register in self.changing:
            return replace(value, register=self.move(value.register, value.register.name))
        if isinstance(value, Pointer) and isinstance(value.base, ir.VReg) and value.base in self.changing:
            return replace(value, base=self.move(value.base, value.base.name))
        return value

    def self_attribute(self, node: ast.Attribute) -> Value:
        """An attribute of the program's class: a map, a constant, a function to inline."""
        try:
            found = self.owner(node.attr)
        except AttributeError as error:
            self.error(node, str(error), hint="declare maps and constants in the class body")
        if isinstance(found, types.FunctionType):
            return Static(types.MethodType(found, Owner()))
        return Static(found.__func__ if isinstance(found, staticmethod) else found)


def pending(register: ir.VReg) -> Pointer:
    """The value of a variable that was only ever None: what it will point to is not known yet."""
    return Pointer(register, 0, None, Space.NONE)
