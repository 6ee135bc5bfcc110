"""``maps``: every map of the machine."""

from __future__ import annotations

import argparse
import errno
from typing import TYPE_CHECKING, Any, TextIO

from pybpf.errors import KernelError
from pybpf.kernel.constants import MapFlag, MapType
from pybpf.kernel.info import map_by_id, map_ids, map_info
from pybpf.pins import pins
from pybpf.tools.output import command, print_json, print_table, word

if TYPE_CHECKING:
    from pybpf.tools.output import Subparsers


def add_parser(commands: Subparsers) -> None:
    """Add the subcommand."""
    command(commands, "maps", "list every map of the machine", "sudo python -m pybpf maps --json", run)


def run(options: argparse.Namespace, out: TextIO) -> int:
    """Print them by id."""
    rows = list_maps()
    if options.json:
        print_json(out, rows)
        return 0
    table = [
        (
            row["id"],
            row["type"],
            row["name"],
            row["key_size"],
            row["value_size"],
            row["max_entries"],
            " ".join(row["flags"]),
            " ".join(row["pinned"]),
        )
        for row in rows
    ]
    print_table(out, ("id", "type", "name", "key", "value", "entries", "flags", "pinned"), table)
    return 0


def list_maps() -> list[dict[str, Any]]:
    """What is known of each map, sizes in bytes.

    Raises:
        PermissionDenied: it takes CAP_SYS_ADMIN.
    """
    rows = []
    names = pinned_names("map")
    for identifier in map_ids():
        try:
            with map_by_id(identifier) as fd:
                info = map_info(fd)
        except KernelError as error:
            if error.errno == errno.ENOENT:
                continue  # gone since
            raise
        rows.append(
            {
                "id": info.id,
                "type": word(MapType, info.type),
                "name": info.name,
                "key_size": info.key_size,
                "value_size": info.value_size,
                "max_entries": info.max_entries,
                "flags": [flag.name for flag in MapFlag if info.flags & flag],
                "has_types": bool(info.btf_id),
                "pinned": names.get(info.id, []),
            }
        )
    return rows


def pinned_names(kind: str) -> dict[int, list[str]]:
    """The pins of the maps, programs or links of the machine by id."""
    names: dict[int, list[str]] = {}
    for entry in pins():
        if entry.kind == kind:
            names.setdefault(entry.id, []).append(str(entry.path))
    return names
