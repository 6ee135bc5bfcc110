"""The whole way from a Python function to BPF instructions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable

from pybpf.asm import assemble
from pybpf.lang import ir
from pybpf.lang.contexts import ContextType, context_type
from pybpf.lang.emit import Emitter, lay_out_stack
from pybpf.lang.errors import CompileError
from pybpf.lang.lower import statements
from pybpf.lang.lower.state import Lowering
from pybpf.lang.optimize import optimize
from pybpf.lang.registers import allocate
from pybpf.lang.source import Source, parse
from pybpf.lang.target import Target
from pybpf.lang.values import Context, Owner

if TYPE_CHECKING:
    from pybpf.asm import Instruction


@dataclass(frozen=True)
class CompiledProgram:
    """A program in instructions; maps and kernel functions are still names.

    ``stack`` is in bytes; ``maps`` and ``kfuncs`` are what the program refers to.
    """

    name: str
    instructions: tuple[Instruction, ...]
    stack: int
    maps: frozenset[str]
    kfuncs: frozenset[str]


def compile_function(
    function: Callable[..., Any],
    owner: Callable[[str], Any] | None = None,
    target: Target | None = None,
) -> CompiledProgram:
    """Compile ``function``, whose parameters are (self, ctx) or (ctx).

    ``owner`` gives the attributes of ``self``: maps, numbers, functions; it raises AttributeError for any other name.

    Raises:
        CompileError: the function is not in the language; the message names file, line and what to write.
    """
    target = target or Target()
    source = parse(function)
    ir_function = ir.Function(function.__name__, ir.VReg(0, "context"))
    lowering = Lowering(ir_function, source, owner or _no_owner, target)
    _bind_parameters(lowering, source, target)
    statements.body(lowering, source.node.body)
    if lowering.flow is not None:
        lowering.error(
            source.node.body[-1],
            f"{function.__name__} may end here without a return",
            hint="end every way through with return 0",
        )
    optimize(ir_function)
    registers = allocate(ir_function)
    stack = lay_out_stack(ir_function)
    instructions = assemble(Emitter(ir_function, registers).emit())
    maps = {instr.name for instr in ir_function.instructions() if isinstance(instr, ir.MapAddress)}
    return CompiledProgram(function.__name__, instructions, stack, frozenset(maps), frozenset(lowering.kernel_calls))


def _no_owner(name: str) -> Any:
    raise AttributeError(f"this program has no class, so no attribute {name!r}")


def _bind_parameters(lowering: Lowering, source: Source, target: Target) -> None:
    arguments = source.node.args
    names = arguments.args
    if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.posonlyargs or not 1 <= len(names) <= 2:
        lowering.error(source.node, "a program takes (self, ctx), or (ctx) outside of a class")
    if len(names) == 2:
        lowering.bind(names[0].arg, Owner())
    context = names[-1]
    lowering.bind(context.arg, Context(_context_of(lowering, source, target), lowering.function.context))


def _context_of(lowering: Lowering, source: Source, target: Target) -> ContextType:
    parameter = source.node.args.args[-1]
    hint = "annotate the context: ctx: Registers, SkBuff or RawContext"
    if parameter.annotation is None:
        lowering.error(parameter, f"{parameter.arg} has no type", hint=hint)
    from pybpf.lang.lower import expressions
    from pybpf.lang.values import Static

    value = expressions.expression(lowering, parameter.annotation)
    kind = context_type(value.value, target.machine) if isinstance(value, Static) else None
    if kind is None:
        lowering.error(parameter.annotation, "this is no context type", hint=hint)
    return kind


__all__ = ["CompileError", "CompiledProgram", "compile_function"]
