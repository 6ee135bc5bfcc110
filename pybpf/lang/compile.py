"""The whole way from a Python function to BPF instructions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable

from pybpf.asm import assemble
from pybpf.errors import PybpfError
from pybpf.lang import ir
from pybpf.lang.contexts import ContextType, context_type
from pybpf.lang.emit import Emitter, lay_out_stack
from pybpf.lang.errors import CompileError, CompilerDefect
from pybpf.lang.lower import declarations, names, statements
from pybpf.lang.lower.state import Lowering
from pybpf.lang.optimize import optimize
from pybpf.lang.registers import allocate
from pybpf.lang.source import parse
from pybpf.lang.target import Target
from pybpf.lang.values import Context, Owner

if TYPE_CHECKING:
    import ast

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
        CompilerDefect: it may be, but the compiler failed; a CompileError too.
    """
    source = parse(function)
    ir_function = ir.Function(function.__name__, ir.VReg(0, "context"))
    lowering = Lowering(ir_function, source, owner or _no_owner, target or Target())
    try:
        return _compile(lowering)
    except PybpfError:
        raise
    except RecursionError:
        raise CompileError(
            "this is nested too deeply for the compiler", lowering.line, "write it in several statements"
        ) from None
    except Exception as error:
        raise CompilerDefect(
            f"the compiler failed here: {type(error).__name__}: {error}",
            lowering.line,
            "this is a defect of pybpf, not of your program: please report it with the function",
        ) from error


def _compile(lowering: Lowering) -> CompiledProgram:
    node, function = lowering.frame.source.node, lowering.function
    _bind_parameters(lowering, node)
    statements.body(lowering, node.body)
    if lowering.flow is not None:
        lowering.error(
            node.body[-1],
            f"{function.name} may end here without a return",
            hint="end every way through with return 0",
        )
    optimize(function)
    registers = allocate(function)
    stack = lay_out_stack(function)
    instructions = assemble(Emitter(function, registers).emit())
    maps = {instr.name for instr in function.instructions() if isinstance(instr, ir.MapAddress)}
    return CompiledProgram(function.name, instructions, stack, frozenset(maps), frozenset(lowering.kernel_calls))


def _no_owner(name: str) -> Any:
    raise AttributeError(f"this program has no class, so no attribute {name!r}")


def _bind_parameters(lowering: Lowering, node: ast.FunctionDef) -> None:
    arguments = node.args
    parameters = arguments.args
    more = arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.posonlyargs
    if more or not 1 <= len(parameters) <= 2:
        lowering.error(node, "a program takes (self, ctx), or (ctx) outside of a class")
    if len(parameters) == 2:
        names.assign(lowering, parameters[0], parameters[0].arg, Owner())
    context = parameters[-1]
    kind = _context_of(lowering, context)
    names.assign(lowering, context, context.arg, Context(kind, lowering.function.context))


def _context_of(lowering: Lowering, parameter: ast.arg) -> ContextType:
    hint = "annotate the context: ctx: Registers, SkBuff or RawContext"
    if parameter.annotation is None:
        lowering.error(parameter, f"{parameter.arg} has no type", hint=hint)
    kind = context_type(declarations.of_context(lowering, parameter.annotation), lowering.target.machine)
    if kind is None:
        lowering.error(parameter.annotation, "this is no context type", hint=hint)
    return kind


__all__ = ["CompileError", "CompiledProgram", "compile_function"]
