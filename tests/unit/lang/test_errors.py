"""What the compiler says of the mistakes that people make."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from pybpf.lang import (
    CompileError,
    Registers,
    SkBuff,
    Struct,
    array,
    get_current_comm,
    get_current_pid_tgid,
    ktime_get_ns,
    probe_read_user,
    skb_load_bytes,
    u8,
    u32,
    u64,
)
from pybpf.lang.compile import compile_function
from pybpf.maps import HashMap, RingBuffer

# Programs are compiled, not run: mypy and ruff would rightly object to the mistakes in them.
# mypy: ignore-errors
# ruff: noqa: B007, F821, F841, RET, SIM


class Call(Struct):
    start: u64
    depth: u32
    slots: list[int] = array(u8, 8)


class Big(Struct):
    data: list[int] = array(u64, 80)


class Maps:
    calls = HashMap(key=u64, value=Call, max_entries=16)
    counts = HashMap(key=u64, value=u64, max_entries=16)
    events = RingBuffer(4096)


def helper_recursive(n: int) -> int:
    return helper_recursive(n)


def unchecked_pointer(self, ctx: Registers) -> int:
    call = self.calls.lookup(get_current_pid_tgid())
    return call.depth  # HERE


def unchecked_in_one_branch(self, ctx: Registers) -> int:
    call = self.calls.lookup(1)
    if ctx.argument(0) > 3 and call is None:
        return 0
    call.depth = 1  # HERE
    return 0


def float_literal(self, ctx: Registers) -> int:
    x = ctx.argument(0) * 1.5  # HERE
    return 0


def true_division(self, ctx: Registers) -> int:
    return ctx.argument(0) / 2  # HERE


def missing_return(self, ctx: Registers) -> int:
    if ctx.argument(0) > 3:  # HERE
        return 1


def bare_return(self, ctx: Registers) -> int:
    return  # HERE


def try_statement(self, ctx: Registers) -> int:
    try:  # HERE
        return 0
    except ValueError:
        return 1


def f_string(self, ctx: Registers) -> int:
    x = f"{ctx}"  # HERE
    return 0


def unknown_name(self, ctx: Registers) -> int:
    return undefined_thing  # HERE


def unknown_field(self, ctx: Registers) -> int:
    call = Call(start=1)
    return call.depht  # HERE


def unknown_field_in_constructor(self, ctx: Registers) -> int:
    call = Call(strat=1)  # HERE
    return 0


def unknown_attribute_of_self(self, ctx: Registers) -> int:
    return self.no_such_map.lookup(1)  # HERE


def unknown_register(self, ctx: Registers) -> int:
    return ctx.rdi  # HERE


def wrong_helper_arguments(self, ctx: Registers) -> int:
    return ktime_get_ns(1)  # HERE


def number_for_memory(self, ctx: Registers) -> int:
    return get_current_comm(5, 16)  # HERE


def too_large_for_destination(self, ctx: Registers) -> int:
    call = Call()
    return probe_read_user(call.slots, 16, ctx.argument(0))  # HERE


def helper_of_another_hook(self, ctx: Registers) -> int:
    call = Call()
    return skb_load_bytes(ctx, 0, call.slots, 8)  # HERE


def too_much_stack(self, ctx: Registers) -> int:
    big = Big()  # HERE
    return big.data[0]


def recursion(self, ctx: Registers) -> int:
    return helper_recursive(1)


def index_out_of_range(self, ctx: Registers) -> int:
    call = Call()
    return call.slots[8]  # HERE


def maybe_unassigned(self, ctx: Registers) -> int:
    if ctx.argument(0) > 1:
        x = 1
    return x  # HERE


def signed_into_unsigned(self, ctx: Registers) -> int:
    error = 0
    error = probe_read_user(Call(), 8, 1)  # HERE
    return error + 1


def negative_against_unsigned(self, ctx: Registers) -> int:
    if ctx.argument(0) < -1:  # HERE
        return 1
    return 0


def map_read_by_index(self, ctx: Registers) -> int:
    return self.counts[1]  # HERE


def lost_reservation(self, ctx: Registers) -> int:
    self.events.reserve(Call)  # HERE
    return 0


def loop_over_runtime_sequence(self, ctx: Registers) -> int:
    for i in ctx:  # HERE
        pass
    return 0


def break_outside(self, ctx: Registers) -> int:
    for x in (1, 2):
        pass
    return self.calls  # HERE


def packet_is_read_only(self, ctx: SkBuff) -> int:
    ctx.mark = 3  # HERE
    return 0


def no_context_type(self, ctx) -> int:  # HERE
    return 0


TABLE: list[tuple[Callable[..., Any], str, str]] = [
    (unchecked_pointer, "'call' may be None here", "if call is None: return"),
    (unchecked_in_one_branch, "'call' may be None here", "test it first"),
    (float_literal, "BPF has no floating point", "scale to integers"),
    (true_division, "no true division", "use //"),
    (missing_return, "may end here without a return", "return 0"),
    (bare_return, "a program returns an integer", "return 0"),
    (try_statement, "Try statements are not in the language", "negative error numbers"),
    (f_string, "JoinedStr expressions are not in the language", "format them in Python"),
    (unknown_name, "'undefined_thing' is not defined", ""),
    (unknown_field, "Call has no field 'depht'", "it has start, depth, slots"),
    (unknown_field_in_constructor, "Call has no field 'strat'", "it has depth, slots, start"),
    (unknown_attribute_of_self, "no_such_map", "class body"),
    (unknown_register, "Registers has no attribute 'rdi'", "argument()"),
    (wrong_helper_arguments, "ktime_get_ns: too many positional arguments", "ktime_get_ns()"),
    (number_for_memory, "destination is an address, not the constant 5", "pass a struct"),
    (too_large_for_destination, "16 bytes do not fit the 8", "sizeof"),
    (helper_of_another_hook, "skb_load_bytes works on SkBuff; this program has Registers", "hook"),
    (too_much_stack, "needs 640 bytes of stack, 512 are there", "per-CPU array"),
    (recursion, "calls itself", "bounded loop"),
    (index_out_of_range, "index 8 is outside of u8[8]", ""),
    (maybe_unassigned, "'x' may be used before it is assigned", "before the branch"),
    (signed_into_unsigned, "began as unsigned and gets a signed value", "error: s64"),
    (negative_against_unsigned, "an unsigned integer is never -1", "s64"),
    (map_read_by_index, "a map is read with lookup()", "self.map.lookup(key)"),
    (lost_reservation, "the reserved record is lost", "slot ="),
    (loop_over_runtime_sequence, "range(...) or a constant sequence", ""),
    (break_outside, "expected an integer", ""),
    (packet_is_read_only, "the context is read only", ""),
    (no_context_type, "ctx has no type", "annotate the context"),
]


def owner(name: str) -> Any:
    try:
        return vars(Maps)[name]
    except KeyError:
        raise AttributeError(f"Maps has no {name}") from None


@pytest.mark.parametrize(("function", "message", "hint"), TABLE, ids=[row[0].__name__ for row in TABLE])
def test_mistakes_are_explained_on_their_line(function: Callable[..., Any], message: str, hint: str) -> None:
    with pytest.raises(CompileError) as caught:
        compile_function(function, owner)
    error = caught.value
    assert message in error.message
    assert hint in (error.hint or "")
    assert error.source is not None
    assert error.source.file == __file__
    if function is not recursion:
        assert "# HERE" in error.source.text or "too much" in error.message
    assert f"{__file__}:{error.source.line}:" in str(error)
    assert "^" in [line.strip() for line in str(error).splitlines()]


def test_the_table_of_stack_users_names_them() -> None:
    with pytest.raises(CompileError, match=r"640 bytes\s+Big\s+\(line \d+\)"):
        compile_function(too_much_stack, owner)
