"""Optimiser, register allocator and emitter keep what a function means: random ones, run before and after."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, given, note, reject, settings
from hypothesis import strategies as st

from pybpf.asm import Register, assemble
from pybpf.lang import ir
from pybpf.lang.emit import Emitter, lay_out_stack
from pybpf.lang.optimize import optimize
from pybpf.lang.registers import allocate
from pybpf.vm import run
from tests.support.lang.random_ir import CONTEXT, FUEL, HELPER, Interpreter, OutOfFuel, functions, mixed

EXAMPLES = int(os.environ.get("PYBPF_EXAMPLES", "200"))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(functions())
def test_random_functions(function: ir.Function) -> None:
    note(function.dump())
    interpreter = Interpreter()
    try:
        expected = interpreter.run(function)
    except OutOfFuel:
        reject()
    arguments = {id(instr): len(instr.sources) for instr in function.instructions() if isinstance(instr, ir.Call)}
    optimize(function)
    note(function.dump())
    real = allocate(function)
    lay_out_stack(function)
    instructions = assemble(Emitter(function, real).emit())
    note("\n".join(map(str, instructions)))
    # a helper gets five values whatever the call passes: those that it passes come in this order
    counts = [len(call) for call in interpreter.calls]
    assert arguments or not counts
    calls: list[list[int]] = []

    def helper(machine: Any, *values: int | None) -> int:
        passed = list(values[: counts[len(calls)]])
        assert None not in passed
        calls.append([value for value in passed if value is not None])
        return mixed(calls[-1])

    assert run(instructions, CONTEXT, helpers={HELPER: helper}, instruction_limit=100 * FUEL) == expected
    assert calls == interpreter.calls


@settings(max_examples=EXAMPLES)
@given(st.permutations(range(10)), st.lists(st.integers(0, 11), max_size=5))
def test_arguments_move_to_their_registers_at_once(homes: list[int], chosen: list[int]) -> None:
    """Whatever registers the values are in, others' included; numbers above 9 stand for constants."""
    function = ir.Function("call", ir.VReg(0, "context"))
    entry = ir.Block("entry")
    function.blocks = [entry]
    values = [function.register(f"v{index}") for index in range(10)]
    sources = [values[index] if index < 10 else 1000 + index for index in chosen]
    result = ir.VReg(99)
    entry.instructions = [
        *(ir.Move(register, [100 + index]) for index, register in enumerate(values)),
        ir.Call(result, list(sources), helper=HELPER),
        ir.Return(None, [result]),
    ]
    real = {register: Register(home) for register, home in zip(values, homes)}
    instructions = assemble(Emitter(function, {**real, result: Register(0)}).emit())
    seen: list[int | None] = []

    def helper(machine: Any, *passed: int | None) -> int:
        seen.extend(passed[: len(sources)])
        return 9

    assert run(instructions, helpers={HELPER: helper}) == 9
    assert seen == [100 + index if index < 10 else 1000 + index for index in chosen]
