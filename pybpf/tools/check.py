"""``check FILE.py``: compile every program of a file and say what each one needs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, TextIO

from pybpf.errors import PybpfError
from pybpf.lang import CompileError
from pybpf.tools.needs import needs_of, newest, version
from pybpf.tools.objects import NotLoadable, instance, read_definitions, setting
from pybpf.tools.output import command, print_json

if TYPE_CHECKING:
    from pybpf.object import BpfObject
    from pybpf.program import ProgramSpec
    from pybpf.tools.needs import Needs
    from pybpf.tools.output import Subparsers


def add_parser(commands: Subparsers) -> None:
    """Add the subcommand."""
    parser = command(
        commands,
        "check",
        "compile every BpfObject of a file and say what its programs need; loads nothing, needs no privilege",
        "python -m pybpf check examples/count_packets.py",
        run,
    )
    parser.add_argument("file", metavar="FILE.py", help="its definitions are executed, what it does is not")
    parser.add_argument(
        "--set",
        dest="settings",
        metavar="NAME=VALUE",
        type=setting,
        action="append",
        default=[],
        help="a value for a Constant; may be repeated",
    )
    parser.add_argument(
        "--kernel", metavar="VERSION", type=_version, help="fail when a program needs a newer one: --kernel 5.14"
    )


def run(options: argparse.Namespace, out: TextIO) -> int:
    """1 when a program does not compile, needs more than ``--kernel``, or there is none."""
    definitions = read_definitions(options.file)
    if not definitions.classes:
        raise NotLoadable(options.file, 0, f"no BpfObject with programs in it; {definitions.stopped}".rstrip("; "))
    reports = [_report(cls, dict(options.settings)) for cls in definitions.classes]
    if options.json:
        print_json(out, {"file": str(definitions.path), "objects": reports, "stopped": definitions.stopped or None})
    else:
        for report in reports:
            _print(report, out)
        if definitions.stopped:
            out.write(f"not executed from there on: {definitions.stopped}\n")
    too_new = [report for report in reports if options.kernel and _is_newer(report["minimum_kernel"], options.kernel)]
    if not options.json:
        for report in too_new:
            out.write(f"{report['object']} needs Linux {report['minimum_kernel']}, newer than {options.kernel}\n")
    return 1 if too_new or any(report["error"] for report in reports) else 0


def _version(text: str) -> str:
    version(text)
    return text


def _is_newer(needed: str | None, allowed: str) -> bool:
    return needed is not None and version(needed) > version(allowed)


def _report(cls: type[BpfObject], settings: dict[str, int]) -> dict[str, Any]:
    report: dict[str, Any] = {"object": cls.__name__, "programs": [], "minimum_kernel": None, "error": None}
    try:
        specs = instance(cls, settings).compile()
    except (CompileError, PybpfError, NotLoadable) as error:
        return {**report, "error": str(error)}
    found = {name: needs_of(spec, cls._maps) for name, spec in specs.items()}
    report["programs"] = [_program(name, specs[name], needs) for name, needs in found.items()]
    report["minimum_kernel"] = newest(found.values())
    return report


def _program(name: str, spec: ProgramSpec, needs: Needs) -> dict[str, Any]:
    return {
        "name": name,
        "type": spec.type.name.lower(),
        "instructions": needs.instructions,
        "stack_bytes": needs.stack,
        "maps": list(needs.maps),
        "helpers": list(needs.helpers),
        "kfuncs": list(needs.kfuncs),
        "minimum_kernel": needs.minimum_kernel,
        "because": [{"since": reason.since, "what": reason.what} for reason in needs.reasons],
        "license": spec.license,
    }


def _print(report: dict[str, Any], out: TextIO) -> None:
    if report["error"]:
        out.write(f"{report['object']}: does not compile\n{report['error']}\n")
        return
    out.write(f"{report['object']}: Linux {report['minimum_kernel']} or newer\n")
    for program in report["programs"]:
        first = [reason for reason in program["because"] if reason["since"] == program["minimum_kernel"]]
        lines = {
            "instructions": program["instructions"],
            "stack": f"{program['stack_bytes']} of 512 bytes",
            "maps": ", ".join(program["maps"]) or "none",
            "helpers": ", ".join(program["helpers"]) or "none",
            "kernel functions": ", ".join(program["kfuncs"]),
            "minimum kernel": f"{program['minimum_kernel']} ({', '.join(reason['what'] for reason in first)})",
            "licence": program["license"],
        }
        out.write(f"  {program['name']} ({program['type']})\n")
        for label, text in lines.items():
            if text != "":
                out.write(f"    {label:<16}  {text}\n")
