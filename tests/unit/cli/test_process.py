"""The command line as a process of its own: what it costs to start, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import epicsmon

ROOT = Path(epicsmon.__file__).parents[2]

IMPORT_BUDGET_MS = 150
MEMORY_BUDGET_MB = 25

MEASURE = """
import json, sys, time

def resident_mb():
    # Not ru_maxrss: after fork and exec it still holds the peak of the test process.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) / 1024

before = resident_mb()
start = time.perf_counter()
import epicsmon.cli
imported = time.perf_counter() - start
from epicsmon.cli.app import parser
parser()
heavy = {"rich", "opentelemetry", "requests", "pyroute2", "elftools", "cffi", "sqlite3", "pybpf", "textual"}
print(json.dumps({
    "import_ms": imported * 1000,
    "ready_ms": (time.perf_counter() - start) * 1000,
    "grown_mb": resident_mb() - before,
    "heavy": sorted(heavy & {name.split(".")[0] for name in sys.modules}),
}))
"""

FOREVER = """
import sys, threading
sys.path[:0] = {paths!r}
from epicsmon.cli import app
from epicsmon.cli.streams import Streams
from tests.support.events import put

class Forever:
    def __init__(self):
        self._stop = threading.Event()
    def __iter__(self):
        yield put()
        while not self._stop.wait(0.01):
            if {busy!r}:
                yield put()
    def stop(self):
        self._stop.set()

code = app.run(["puts"], Streams(sys.stdout, sys.stderr), Forever())
app.leave(sys.stdout)
sys.exit(code)
"""


def paths() -> list[str]:
    return [str(ROOT / "src"), str(ROOT)]


def python(code: str, **options: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths())}
    return subprocess.Popen([sys.executable, "-c", code], text=True, env=environment, **options)  # type: ignore[call-overload,no-any-return]


def test_the_command_line_starts_within_its_budget() -> None:
    runs = []
    for _ in range(5):
        with python(MEASURE, stdout=subprocess.PIPE) as process:
            runs.append(json.loads(process.communicate()[0]))
    best = min(runs, key=lambda run: run["ready_ms"])
    print(best)
    assert best["heavy"] == []
    assert best["ready_ms"] < IMPORT_BUDGET_MS
    assert best["grown_mb"] < MEMORY_BUDGET_MB


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_with_a_summary_and_exit_code_0(number: signal.Signals) -> None:
    code = FOREVER.format(paths=paths(), busy=False)
    with python(code, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert "LINAC:MAG:Q12:SET" in process.stdout.readline()
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "")
    assert err == "epicsmon: puts: 1 seen, 1 delivered, 0 lost\n"


def test_a_reader_that_leaves_ends_it_quietly() -> None:
    code = FOREVER.format(paths=paths(), busy=True)
    with python(code, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        process.wait(timeout=20)
    assert "Traceback" not in err
    assert err.startswith("epicsmon: puts: ")
    assert process.returncode == 0


def test_a_reader_that_leaves_a_list_ends_it_quietly() -> None:
    code = "import sys; from epicsmon.cli import main; sys.stdin.read(); sys.argv[1:] = ['doctor']; sys.exit(main())"
    with python(code, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.close()
        err = process.stderr.read()
        process.wait(timeout=20)
    assert "Traceback" not in err
    assert "Broken pipe" not in err


def test_an_error_of_usage_is_exit_code_2() -> None:
    code = "import sys; from epicsmon.cli import main; sys.argv[1:] = ['pust']; sys.exit(main())"
    with python(code, stderr=subprocess.PIPE) as process:
        _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "usage: epicsmon" in err


def test_names_in_other_scripts_do_not_end_a_put_log_on_an_ascii_terminal() -> None:
    code = """
import sys
from epicsmon.cli import app
from epicsmon.cli.streams import Streams
app.prepare_streams()
from tests.support.events import put
sys.exit(app.run(["puts"], Streams(sys.stdout, sys.stderr), [put(pv="temp\\u00e9rature")]))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths()), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "temp\\xe9rature" in done.stdout
