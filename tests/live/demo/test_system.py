"""The demo's control system is real: its IOC processes, its clients' own logs agree with what the IOC holds."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from epicsmon.demo.softioc import installed_home
from epicsmon.demo.system import PREFIX, DemoSystem, DemoUnavailable

pytestmark = pytest.mark.needs("epics")


@pytest.fixture
def system(netns, tmp_path):
    with DemoSystem(tmp_path / "demo") as running:
        yield running


def await_puts(system: DemoSystem, number: int) -> list[dict]:
    deadline = time.monotonic() + 20
    while len(system.puts_made()) < number and time.monotonic() < deadline:
        time.sleep(0.05)
    return system.puts_made()


def test_clients_put_every_kind_of_value_and_notified_puts_complete(system):
    system.start_clients(period_s=0.02)
    made = await_puts(system, 60)
    assert {put["pv"].removeprefix(PREFIX) for put in made} == {
        "Magnet:CurrentSet",
        "Operator:Note",
        "Mode",
        "Valve:Command",
        "Magnet:Profile",
    }
    notified = [put for put in made if put["notify"]]
    assert notified
    assert all(put["done"] for put in notified)


def test_stopping_the_clients_leaves_the_ioc(system):
    pids = system.start_clients(period_s=0.02)
    await_puts(system, 4)
    system.stop_clients()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert Path(f"/proc/{system.ioc_pid}").exists()
    assert (system.folder / "operator.err").read_text() == ""


def test_nothing_is_left_after_close(netns, tmp_path):
    with DemoSystem(tmp_path / "demo") as system:
        pids = [system.ioc_pid, *system.start_clients()]
        assert all(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_listens_on_loopback_only(system):
    inodes = {os.readlink(fd) for fd in Path(f"/proc/{system.ioc_pid}/fd").iterdir()}
    rows = [row.split() for row in Path(f"/proc/{system.ioc_pid}/net/tcp").read_text().splitlines()[1:]]
    own = [row[1] for row in rows if f"socket:[{row[9]}]" in inodes and row[3] == "0A"]
    assert own
    assert all(address.startswith("0100007F:") for address in own)


def test_an_ioc_that_cannot_start_says_why(netns, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "lib").symlink_to(installed_home() / "lib")
    with pytest.raises(DemoUnavailable, match=r"base\.dbd"):
        DemoSystem(tmp_path / "demo", home=broken)
