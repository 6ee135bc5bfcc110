from __future__ import annotations

import re
from pathlib import Path

import pytest

from epicsmon.ca.commands import Command
from epicsmon.ca.eca import ECA_NORMAL, Severity, eca_status


def base_header(name: str) -> str:
    epicscorelibs = pytest.importorskip("epicscorelibs", reason="needs EPICS Base's headers from epicscorelibs")
    return (Path(epicscorelibs.__file__).parent / "include" / name).read_text()


def test_every_status_of_caerr_h_has_its_name() -> None:
    found = re.findall(r"#define (ECA_\w+)\s+DEFMSG\(CA_K_(\w+),\s*(\d+)\)", base_header("caerr.h"))
    assert len(found) > 50
    for name, severity, number in found:
        code = int(number) << 3 | Severity[severity]
        status = eca_status(code)
        assert (status.name, status.severity) == (name, Severity[severity])


def test_every_command_of_caproto_h_has_its_number() -> None:
    found = dict(re.findall(r"#define CA_PROTO_(\w+)\s+(\d+)u?\b", base_header("caProto.h")))
    # Base names these two without the prefix, as they travel between clients and the repeater only.
    repeater = {Command.REPEATER_CONFIRM, Command.REPEATER_REGISTER}
    for command in set(Command) - repeater:
        assert int(found[command.name]) == command


def test_success_is_the_low_bit() -> None:
    assert eca_status(ECA_NORMAL).success
    assert not eca_status(160).success
    assert eca_status(160).name == "ECA_PUTFAIL"


@pytest.mark.parametrize("code", [7, 0xFFFFFFFF, 59 << 3 | 1, 1000 << 3])
def test_an_unknown_status_has_no_name(code: int) -> None:
    assert eca_status(code).name is None
    assert eca_status(code).code == code
