"""``links``: every link of the machine: what is attached, and how."""

from __future__ import annotations

import argparse
import errno
from typing import TYPE_CHECKING, Any, TextIO

from pybpf.errors import KernelError
from pybpf.kernel.constants import LinkType
from pybpf.kernel.info import link_by_id, link_ids, link_info, program_by_id, program_info, uprobe_multi_info
from pybpf.tools.maps import pinned_names
from pybpf.tools.output import command, print_json, print_table, word

if TYPE_CHECKING:
    from pybpf.kernel.fd import OwnedFd
    from pybpf.tools.output import Subparsers


def add_parser(commands: Subparsers) -> None:
    """Add the subcommand."""
    command(commands, "links", "list every link of the machine: what is attached", "sudo python -m pybpf links", run)


def run(options: argparse.Namespace, out: TextIO) -> int:
    """Print them by id."""
    rows = list_links()
    if options.json:
        print_json(out, rows)
        return 0
    table = [
        (row["id"], row["type"], row["program"], row["program_name"], row["where"], " ".join(row["pinned"]))
        for row in rows
    ]
    print_table(out, ("id", "type", "program", "name", "where", "pinned"), table)
    return 0


def list_links() -> list[dict[str, Any]]:
    """What is known of each link.

    Raises:
        PermissionDenied: it takes CAP_SYS_ADMIN.
        KernelError: the kernel is older than 5.8.
    """
    rows = []
    names = pinned_names("link")
    for identifier in link_ids():
        try:
            with link_by_id(identifier) as fd:
                info = link_info(fd)
                where = _where(fd, info.type)
            name = _program_name(info.program_id)
        except KernelError as error:
            if error.errno == errno.ENOENT:
                continue  # gone since
            raise
        rows.append(
            {
                "id": info.id,
                "type": word(LinkType, info.type),
                "program": info.program_id,
                "program_name": name,
                "where": where,
                "pinned": names.get(info.id, []),
            }
        )
    return rows


def _where(fd: OwnedFd, kind: int) -> str:
    """The file and how many sites of it, for uprobes (6.8); other kinds do not say it in a common way."""
    if kind != LinkType.UPROBE_MULTI:
        return ""
    try:
        found = uprobe_multi_info(fd)
    except KernelError:
        return ""
    who = "" if found.pid is None else f", process {found.pid}"
    return f"{found.path}: {len(found.offsets)} sites{who}"


def _program_name(identifier: int) -> str:
    if not identifier:
        return ""
    with program_by_id(identifier) as fd:
        return program_info(fd).name
