"""``progs``: every program of the machine; with ``--watch``, how often each runs and for how long."""

from __future__ import annotations

import argparse
import errno
import time
from typing import TYPE_CHECKING, Any, Callable, TextIO

from pybpf.errors import KernelError
from pybpf.kernel.constants import ProgramType
from pybpf.kernel.info import ProgramInfo, program_by_id, program_ids, program_info
from pybpf.kernel.statistics import enable_statistics
from pybpf.tools.maps import pinned_names
from pybpf.tools.output import command, print_json, print_table, word

if TYPE_CHECKING:
    from pybpf.tools.output import Subparsers


def add_parser(commands: Subparsers) -> None:
    """Add the subcommand."""
    parser = command(
        commands,
        "progs",
        "list every program of the machine; with --watch, how often each runs and for how long",
        "sudo python -m pybpf progs --watch 2",
        run,
    )
    parser.add_argument("--watch", metavar="SECONDS", type=_seconds, help="count runs for so long (Linux 5.8)")


def run(options: argparse.Namespace, out: TextIO) -> int:
    """Print them by id, or the busiest first."""
    if options.watch is None:
        names = pinned_names("program")
        rows = [_row(info, names.get(info.id, [])) for info in programs()]
        columns = _LISTED
    else:
        rows, columns = watch(options.watch), _WATCHED
    if options.json:
        print_json(out, rows)
    else:
        print_table(out, list(columns), [[_cell(row[name]) for name in columns.values()] for row in rows])
    return 0


_LISTED = {
    "id": "id",
    "type": "type",
    "name": "name",
    "tag": "tag",
    "verified": "verified_instructions",
    "jitted": "jitted_bytes",
    "maps": "maps",
    "pinned": "pinned",
}
_WATCHED = {
    "id": "id",
    "type": "type",
    "name": "name",
    "runs/s": "runs_per_s",
    "ns/run": "ns_per_run",
    "cpu %": "cpu_percent",
}


def _cell(value: object) -> object:
    return " ".join(str(item) for item in value) if isinstance(value, list) else value


def programs() -> list[ProgramInfo]:
    """What is known of each program of the machine.

    Raises:
        PermissionDenied: it takes CAP_SYS_ADMIN.
    """
    found = []
    for identifier in program_ids():
        try:
            with program_by_id(identifier) as fd:
                found.append(program_info(fd))
        except KernelError as error:
            if error.errno != errno.ENOENT:  # gone since
                raise
    return found


def watch(seconds: float, sleep: Callable[[float], object] = time.sleep) -> list[dict[str, Any]]:
    """What ran within ``seconds``, the busiest first; percents are of one CPU.

    Raises:
        PermissionDenied, KernelError: the kernel does not count for this process.
    """
    with enable_statistics():
        before = {info.id: info for info in programs()}
        start = time.monotonic()
        sleep(seconds)
        passed = time.monotonic() - start
        after = programs()
    rows = []
    for info in after:
        earlier = before.get(info.id)
        runs = info.run_count - (earlier.run_count if earlier else 0)
        spent = info.run_time_ns - (earlier.run_time_ns if earlier else 0)
        rows.append(
            {
                "id": info.id,
                "type": word(ProgramType, info.type),
                "name": info.name,
                "runs_per_s": round(runs / passed, 1),
                "ns_per_run": round(spent / runs) if runs else 0,
                "cpu_percent": round(spent / passed / 1e7, 3),
            }
        )
    return sorted(rows, key=lambda row: (-float(str(row["cpu_percent"])), row["id"]))


def _row(info: ProgramInfo, pinned: list[str]) -> dict[str, Any]:
    return {
        "id": info.id,
        "type": word(ProgramType, info.type),
        "name": info.name,
        "tag": info.tag,
        "verified_instructions": info.verified_instructions,
        "jitted_bytes": info.jitted_size,
        "maps": list(info.map_ids),
        "has_types": bool(info.btf_id),
        "pinned": pinned,
    }


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 86_400:
        raise argparse.ArgumentTypeError(f"{text} is no time to watch; more than 0 and less than a day, in seconds")
    return value
