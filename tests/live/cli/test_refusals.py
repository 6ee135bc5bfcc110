"""What the commands say where they may not, or cannot, do their work: a message, and exit code 3."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.epics import EpicsLibraries, RealIoc

RECORDS = 'record(calc, "T:A") {}\n'
NO_CAPABILITY = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
OWN_PROCESS_IDS = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


def epicsmon(*arguments: str, within: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*within, sys.executable, "-m", "epicsmon", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["puts"], ["CAP_BPF"]),
        (["trace"], ["CAP_BPF and CAP_PERFMON"]),
        (["iocs"], ["processes may not be looked into", "run it as root or with CAP_SYS_PTRACE"]),
        (["doctor"], ["puts cannot run here, see above", "trace cannot run here, see above"]),
    ],
)
def test_without_capabilities(arguments: list[str], messages: list[str]) -> None:
    done = epicsmon(*arguments, within=NO_CAPABILITY)
    assert done.returncode == 3
    assert all(message in done.stderr for message in messages), done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_names_each_missing_capability() -> None:
    rows = [line.split()[:2] for line in epicsmon("doctor", within=NO_CAPABILITY).stdout.splitlines()]
    assert [name for name, verdict in rows if verdict == "missing"] == [
        "CAP_BPF",
        "CAP_PERFMON",
        "CAP_NET_RAW",
        "CAP_SYS_PTRACE",
    ]


@pytest.mark.needs("netns")
def test_bpf_and_net_raw_are_enough_for_puts(netns: object) -> None:
    capabilities = "--bounding-set=-all,+bpf,+net_raw"
    done = epicsmon("puts", "--duration", "0.2", within=("setpriv", capabilities, "--inh-caps=-all"))
    assert (done.returncode, done.stderr) == (0, "epicsmon: puts: 0 seen, 0 delivered, 0 lost\n")


@pytest.mark.needs("netns")
def test_on_a_terminal_puts_says_that_it_watches(netns: object) -> None:
    ours, theirs = os.openpty()
    try:
        command = [sys.executable, "-m", "epicsmon", "puts", "--duration", "0.2"]
        subprocess.run(command, stderr=theirs, timeout=30, check=True)
        said = os.read(ours, 4096).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert said.startswith("epicsmon: watching, Ctrl-C ends it")


@pytest.mark.needs("epics", "uprobes")
def test_bpf_perfmon_and_ptrace_are_enough_for_traces(make_ioc: Callable[..., RealIoc]) -> None:
    ioc = make_ioc(RECORDS)
    capabilities = "--bounding-set=-all,+bpf,+perfmon,+sys_ptrace"
    arguments = ("trace", "--ioc", str(ioc.pid), "--duration", "0.2")
    done = epicsmon(*arguments, within=("setpriv", capabilities, "--inh-caps=-all"))
    assert done.returncode == 0, done.stderr
    assert f"(pid {ioc.pid}) found: traced by" in done.stdout


@pytest.mark.needs("epics", "uprobes")
def test_an_ioc_whose_files_are_out_of_reach(make_ioc: Callable[..., RealIoc], tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    ioc = make_ioc(RECORDS, libraries=EpicsLibraries.copy(hidden / "epics"))
    hidden.chmod(0o700)
    os.chown(hidden, 65534, 65534)  # root without CAP_DAC_OVERRIDE may not go in there
    arguments = ("trace", "--ioc", str(ioc.pid), "--duration", "0.2")
    capabilities = "--bounding-set=-all,+bpf,+perfmon,+sys_ptrace"
    done = epicsmon(*arguments, within=("setpriv", capabilities, "--inh-caps=-all"))
    assert "cannot be opened from here; run as root or with CAP_CHECKPOINT_RESTORE" in done.stdout
    with_one_more = f"{capabilities},+checkpoint_restore"
    done = epicsmon(*arguments, within=("setpriv", with_one_more, "--inh-caps=-all"))
    assert f"(pid {ioc.pid}) found: traced by" in done.stdout


@pytest.mark.needs("uprobes")
def test_where_process_ids_are_not_those_of_the_host() -> None:
    done = epicsmon("trace", within=OWN_PROCESS_IDS)
    assert done.returncode == 3
    assert "(--pid=host)" in done.stderr
    doctor = epicsmon("doctor", within=OWN_PROCESS_IDS)
    assert doctor.returncode == 3
    assert "trace cannot run here" in doctor.stderr


@pytest.mark.needs("uprobes")
def test_who_waits_for_an_ioc_is_told() -> None:
    done = epicsmon("trace", "--ioc", "nobody-has-this-name", "--duration", "0.2")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [
        "epicsmon: no IOC that is nobody-has-this-name runs here yet; one that starts is traced within two seconds",
        "epicsmon: chains: 0 seen, 0 delivered, 0 lost",
        "epicsmon: calls: 0 seen, 0 delivered, 0 lost",
    ]
