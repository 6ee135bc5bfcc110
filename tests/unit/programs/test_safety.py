"""No program of ours can change the process it looks at: read from the instructions that would be loaded."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

from epicsmon import programs
from pybpf.asm import CallKind, Instruction, KfuncReference
from pybpf.hooks.base import Hook
from pybpf.lang.compile import compile_function
from pybpf.lang.target import Target
from pybpf.object import BpfObject

# enum bpf_func_id, include/uapi/linux/bpf.h
READ_ONLY_HELPERS = {
    1: "map_lookup_elem",
    2: "map_update_elem",
    3: "map_delete_elem",
    4: "probe_read",
    5: "ktime_get_ns",
    7: "get_prandom_u32",
    8: "get_smp_processor_id",
    14: "get_current_pid_tgid",
    15: "get_current_uid_gid",
    16: "get_current_comm",
    25: "perf_event_output",
    26: "skb_load_bytes",
    112: "probe_read_user",
    113: "probe_read_kernel",
    114: "probe_read_user_str",
    125: "ktime_get_boot_ns",
    130: "ringbuf_output",
    131: "ringbuf_reserve",
    132: "ringbuf_submit",
    133: "ringbuf_discard",
    174: "get_attach_cookie",
}
READ_ONLY_KFUNCS = {"bpf_session_is_return"}
HARMFUL_HELPERS = {
    9: "skb_store_bytes",
    36: "probe_write_user",
    58: "override_return",
    109: "send_signal",
    117: "send_signal_thread",
}
PHASES = (None, "entry", "return")
MACHINES = ("x86_64", "aarch64")


def objects() -> list[type[BpfObject]]:
    found = []
    for module in pkgutil.iter_modules(programs.__path__):
        loaded = importlib.import_module(f"{programs.__name__}.{module.name}")
        found += [
            item
            for item in vars(loaded).values()
            if isinstance(item, type) and issubclass(item, BpfObject) and item.__module__ == loaded.__name__
        ]
    return found


def hooks(kind: type[BpfObject]) -> list[Hook]:
    return [member for member in vars(kind).values() if isinstance(member, Hook)]


ALL = [pytest.param(kind, hook, id=f"{kind.__name__}.{hook.name}") for kind in objects() for hook in hooks(kind)]


def calls(instructions: tuple[Instruction, ...]) -> tuple[set[int], set[str]]:
    """The helpers and the kernel functions that a program calls."""
    helpers, kfuncs = set(), set()
    for instruction in instructions:
        if isinstance(instruction.reference, KfuncReference):
            kfuncs.add(instruction.reference.name)
        elif instruction.src is CallKind.HELPER:
            helpers.add(instruction.imm)
    return helpers, kfuncs


def test_there_are_programs_to_check() -> None:
    assert {kind.__name__ for kind in objects()} >= {"ProcessTrace"}
    assert len(ALL) >= 4


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize(("kind", "hook"), ALL)
def test_programs_call_only_what_reads(kind: type[BpfObject], hook: Hook, phase: str | None, machine: str) -> None:
    compiled = compile_function(hook.function, kind().attribute, Target(machine=machine, session_phase=phase))
    helpers, kfuncs = calls(compiled.instructions)
    assert helpers, "every program calls something, or this test reads it wrongly"
    assert helpers <= set(READ_ONLY_HELPERS)
    assert kfuncs <= READ_ONLY_KFUNCS


def test_the_list_has_nothing_that_harms() -> None:
    assert not set(READ_ONLY_HELPERS) & set(HARMFUL_HELPERS)
