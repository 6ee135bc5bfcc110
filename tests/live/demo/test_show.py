"""`epicsmon demo` as a user runs it: both monitors on a real IOC, and an exit code that means it."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from epicsmon.demo.show import run_demo
from epicsmon.store.query import Store
from tests.support.fixtures import require
from tests.support.netns import NetworkNamespace

pytestmark = pytest.mark.needs("epics", "uprobes")

EPICSMON = Path(sys.executable).with_name("epicsmon")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """One run for all the questions, in a namespace without the puts of others."""
    require("netns")
    folder = tmp_path_factory.mktemp("demo")
    command = [str(EPICSMON), "demo", "--duration", "3", "--dir", str(folder)]
    with NetworkNamespace() as namespace, namespace.entered():
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return folder, done


def test_exits_0_with_puts_and_chains(demo):
    _, done = demo
    assert done.returncode == 0, done.stdout + done.stderr
    assert "DEMO:Magnet:CurrentSet" in done.stdout
    assert "Magnet:Update (fanout)" in done.stdout
    assert re.search(r"puts +(\d+) seen, \1 delivered, 0 lost", done.stdout)
    assert re.search(r"chains +(\d+) seen, \1 delivered, 0 lost", done.stdout)


def test_plain_text_on_pipes(demo):
    _, done = demo
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr


def test_the_store_and_the_span_file_hold_what_was_shown(demo):
    folder, done = demo
    shown = int(re.search(r"puts +(\d+) seen", done.stdout)[1])
    chains = int(re.search(r"chains +(\d+) seen", done.stdout)[1])
    with Store(folder / "store.db") as store:
        assert len(list(store.puts())) == shown
        assert len(list(store.chains())) == chains
    spans = [json.loads(line) for line in (folder / "spans.jsonl").read_text().splitlines()]
    assert len({span["trace_id"] for span in spans if span["event"] == "span"}) == chains


def test_nothing_of_it_runs_on(demo):
    folder, _ = demo
    left = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if str(folder) in (entry / "environ").read_text(errors="replace"):
                    left.append(entry.name)
                if str(folder).encode() in (entry / "cmdline").read_bytes():
                    left.append(entry.name)
            except OSError:
                continue
    assert left == []


def test_without_root_it_says_so_and_exits_3():
    as_nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", sys.executable, "-c"]
    if subprocess.run([*as_nobody, "import epicsmon.cli"], capture_output=True, check=False, cwd="/").returncode:
        pytest.skip("needs a Python and a source tree that other users may read")
    command = [*as_nobody, WITHOUT_ROOT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd="/")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "CAP_" in done.stderr or "root" in done.stderr


WITHOUT_ROOT = "from epicsmon.cli import main; import sys; sys.argv = ['epicsmon', 'demo']; sys.exit(main())"


def test_ends_the_ioc_when_it_cannot_watch(tmp_path, netns):
    """Whatever fails after the IOC is up, the IOC goes down with it."""
    out, err = io.StringIO(), io.StringIO()
    (tmp_path / "store.db").write_text("no store")
    with pytest.raises(Exception, match="store"):
        run_demo(tmp_path, 1.0, out, err)
    assert not [entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and _is_ioc_of(entry, tmp_path)]


def _is_ioc_of(entry: Path, folder: Path) -> bool:
    if entry.name == str(os.getpid()):
        return False
    try:
        return any(os.readlink(fd).startswith(str(folder)) for fd in (entry / "fd").iterdir())
    except OSError:
        return False
