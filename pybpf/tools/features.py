"""``features``: what this kernel can do and what this process may, found by trying."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from pybpf import maps
from pybpf.errors import KernelError, PermissionDenied
from pybpf.kernel.capabilities import Privileges, privileges
from pybpf.kernel.features import ALL, missing
from pybpf.kernel.prog_ops import kernel_version
from pybpf.tools.output import command, print_json, print_table
from pybpf.types import u32

if TYPE_CHECKING:
    from pybpf.maps import Map
    from pybpf.tools.output import Subparsers

YES, NO, UNKNOWN = "yes", "no", "not permitted to ask"


def add_parser(commands: Subparsers) -> None:
    """Add the subcommand."""
    command(
        commands,
        "features",
        "say what this kernel can do and what this process may, by trying",
        "sudo python -m pybpf features",
        run,
    )


def run(options: argparse.Namespace, out: TextIO) -> int:
    """3 when this process may not ask for something."""
    may = privileges()
    features = [_answer(feature.name, feature.since, functools.partial(missing, feature)) for feature in ALL]
    kinds = [_answer(kind.map_type.name.lower(), kind.map_type.since, _creation(kind)) for kind in map_kinds()]
    release = ".".join(str(part) for part in kernel_version())
    if options.json:
        print_json(
            out, {"kernel": release, "features": features, "maps": kinds, "privileges": _privileges_as_json(may)}
        )
    else:
        out.write(f"Linux {release}\n\n")
        _print_answers(out, "feature", features)
        out.write("\n")
        _print_answers(out, "map", kinds)
        out.write("\n")
        print_table(
            out,
            ("this process may", "", "missing"),
            [(job.what, YES if job.possible else NO, ", ".join(job.missing)) for job in may.jobs],
        )
        for note in _notes(may):
            out.write(f"{note}\n")
    return 3 if any(row["here"] == UNKNOWN for row in (*features, *kinds)) else 0


def map_kinds() -> tuple[Map, ...]:
    """The smallest map of every kind that this toolkit knows."""
    inner: Any = maps.Array(value=u32, max_entries=1)
    keyed = (maps.HashMap, maps.LruHashMap, maps.PerCpuHashMap, maps.LruPerCpuHashMap)
    return (
        maps.Array(value=u32, max_entries=1),
        maps.PerCpuArray(value=u32, max_entries=1),
        *(kind(key=u32, value=u32, max_entries=1) for kind in keyed),
        maps.ProgramArray(max_entries=1),
        maps.LpmTrie(key=maps.Ipv4Prefix, value=u32, max_entries=1),
        maps.ArrayOfMaps(inner=inner, max_entries=1),
        maps.HashOfMaps(key=u32, inner=inner, max_entries=1),
        maps.Queue(value=u32, max_entries=1),
        maps.Stack(value=u32, max_entries=1),
        maps.SkStorage(value=u32),
        maps.RingBuffer(4096),
        maps.InodeStorage(value=u32),
        maps.TaskStorage(value=u32),
        maps.BloomFilter(value=u32, max_entries=1),
        maps.UserRingBuffer(4096),
        maps.CgroupStorage(value=u32),
        maps.Arena(1),
    )


def _creation(declared: Map) -> Callable[[], str | None]:
    def probe() -> str | None:
        try:
            declared.create().close()
        except PermissionDenied:
            raise
        except KernelError as error:
            return f"{error.operation}: {error.errno_name}"
        return None

    return probe


def _answer(name: str, since: str, probe: Callable[[], str | None]) -> dict[str, str]:
    try:
        tried = probe()
    except PermissionDenied as error:
        return {"name": name, "since": since, "here": UNKNOWN, "tried": str(error)}
    return {"name": name, "since": since, "here": YES if tried is None else NO, "tried": tried or ""}


def _print_answers(out: TextIO, title: str, rows: list[dict[str, str]]) -> None:
    table = [(row["name"], row["since"], row["here"], "" if row["here"] == YES else row["tried"]) for row in rows]
    print_table(out, (title, "since", "here", ""), table)


def _notes(may: Privileges) -> list[str]:
    notes = []
    if may.own_user_namespace:
        notes.append("in a user namespace: its capabilities do not count for BPF, unless by a BPF token (6.9)")
    if may.lockdown not in ("", "none"):
        notes.append(f"kernel lockdown: {may.lockdown}")
    return notes


def _privileges_as_json(may: Privileges) -> dict[str, Any]:
    return {
        "capabilities": sorted(may.capabilities),
        "jobs": [{"what": job.what, "needs": list(job.needs), "missing": list(job.missing)} for job in may.jobs],
        "own_user_namespace": may.own_user_namespace,
        "unprivileged_bpf": may.unprivileged_bpf,
        "lockdown": may.lockdown or None,
    }
