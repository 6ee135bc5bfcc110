"""The commands, run on real events from Python: what they print, write and return."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

from epicsmon.cli import app
from epicsmon.cli.streams import ExitCode, Streams
from epicsmon.counters import Counters
from epicsmon.events import Event, LossUnit, Stage
from epicsmon.store.query import Store
from pybpf.errors import PermissionDenied, UnsupportedFeature
from tests.support.events import chain, gap, ioc_event, put


@dataclass
class Ran:
    """How a command line ended and what it wrote."""

    code: ExitCode
    out: str
    err: str


def run(*arguments: str, source: Iterable[Event] = ()) -> Ran:
    out, err = io.StringIO(), io.StringIO()
    code = app.run(arguments, Streams(out, err), source)
    return Ran(code, out.getvalue(), err.getvalue())


def test_puts_prints_a_line_each_and_a_summary() -> None:
    ran = run("puts", source=[put(), put(notify=True), gap()])
    assert ran.code is ExitCode.DONE
    lines = ran.out.splitlines()
    assert [line.split()[1] for line in lines] == ["LINAC:MAG:Q12:SET", "LINAC:MAG:Q12:SET", "--"]
    assert ran.err.splitlines() == [
        "epicsmon: puts: 5 seen, 2 delivered, 3 lost",
        "epicsmon: lost before they were events, or at their source: 3 events at ring",
    ]


def test_puts_as_json_prints_nothing_but_json() -> None:
    ran = run("puts", "--json", source=[put(), gap(), ioc_event()])
    assert [json.loads(line)["event"] for line in ran.out.splitlines()] == ["put", "gap", "ioc"]


def test_puts_by_glob_and_negation_anywhere_on_the_line() -> None:
    events = [put(pv=name) for name in ("LINAC:Q1", "LINAC:HEARTBEAT", "RING:Q1", None)]
    ran = run("puts", "LINAC:*", "--json", "!*:HEARTBEAT", source=events)
    assert [json.loads(line)["pv"] for line in ran.out.splitlines()] == ["LINAC:Q1"]
    assert ran.err.splitlines() == [
        "epicsmon: puts: 4 seen, 1 delivered, 0 lost, 3 filtered out",
        "epicsmon: 1 of those filtered out went to channels opened before the start, whose names are not known",
    ]


def test_puts_ends_after_count() -> None:
    ran = run("puts", "--count", "3", "--json", source=(put(sid=i) for i in itertools.count()))
    assert [json.loads(line)["sid"] for line in ran.out.splitlines()] == [0, 1, 2]


def test_puts_ends_after_duration() -> None:
    ran = run("puts", "--duration", "0.05", source=(put() for _ in itertools.count()))
    assert ran.code is ExitCode.DONE
    assert " lost" in ran.err


def test_puts_also_into_a_store(tmp_path: Path) -> None:
    path = tmp_path / "puts.db"
    ran = run("puts", "--store", str(path), source=[put(), gap()])
    assert ran.code is ExitCode.DONE
    assert len(ran.out.splitlines()) == 2
    with Store(path) as store:
        assert list(store.puts()) == [put()]
        assert list(store.gaps()) == [gap()]


def test_trace_prints_trees() -> None:
    ran = run("trace", source=[chain(1), chain(2)])
    assert ran.code is ExitCode.DONE
    assert ran.out.count("  dbPutField HV:SET.VAL (calc)") == 2
    assert ran.err == "epicsmon: chains: 2 seen, 2 delivered, 0 lost\n"


def test_trace_as_json_prints_one_chain_a_line() -> None:
    ran = run("trace", "--json", source=[chain(1)])
    (line,) = ran.out.splitlines()
    assert json.loads(line) == chain(1).to_json()


def test_trace_by_glob() -> None:
    assert run("trace", "HV:ST*", source=[chain()]).out
    assert not run("trace", "VAC:*", source=[chain()]).out


def test_trace_into_a_store_and_a_file(tmp_path: Path) -> None:
    store_path, file = tmp_path / "t.db", tmp_path / "t.jsonl"
    ran = run("trace", "--store", str(store_path), "--file", str(file), "--count", "1", source=[chain(1), chain(2)])
    assert ran.code is ExitCode.DONE
    assert len(file.read_text().splitlines()) == 5
    with Store(store_path) as store:
        assert list(store.chains()) == [chain(1)]


def test_trace_to_a_zipkin_server_that_is_down_fails_after_everything_else_worked() -> None:
    pytest.importorskip("opentelemetry.exporter.zipkin.proto.http", reason="needs the extra epicsmon[zipkin]")
    ran = run("trace", "--zipkin", "http://127.0.0.1:1", source=[chain(1), chain(2)])
    assert ran.code is ExitCode.FAILED
    assert ran.out.count("ca-client") == 2
    assert "is it running?" in ran.err
    assert "zipkin http://127.0.0.1:1/api/v2/spans: 0 delivered, 2 lost (0 waiting, 2 in writing)" in ran.err


def test_a_store_that_cannot_be_opened_ends_before_the_source_is_asked(tmp_path: Path) -> None:
    asked: list[bool] = []

    def source() -> Iterator[Event]:
        asked.append(True)
        yield put()

    ran = run("puts", "--store", str(tmp_path / "nowhere" / "x.db"), source=source())
    assert (ran.code, ran.out, asked) == (ExitCode.FAILED, "", [])
    assert ran.err.startswith("epicsmon: store ")


def refusing(error: Exception) -> Iterator[Event]:
    yield put()
    raise error


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (PermissionDenied("load a program", 1, "CAP_BPF"), ExitCode.NOT_PERMITTED, "run as root or with CAP_BPF"),
        (PermissionError(1, "Operation not permitted"), ExitCode.NOT_PERMITTED, "run it as root (sudo epicsmon ...)"),
        (UnsupportedFeature("uprobe session", "6.13"), ExitCode.NOT_PERMITTED, "it came with Linux 6.13"),
        (
            PermissionError(13, "Permission denied", "/x"),
            ExitCode.NOT_PERMITTED,
            "epicsmon: /x: Permission denied; run",
        ),
        (OSError(19, "No such device"), ExitCode.FAILED, "epicsmon: No such device\n"),
        (OSError("odd"), ExitCode.FAILED, "epicsmon: odd\n"),
    ],
)
def test_errors_a_person_can_act_on(error: Exception, code: ExitCode, message: str) -> None:
    ran = run("puts", source=refusing(error))
    assert ran.code is code
    assert message in ran.err
    assert len(ran.out.splitlines()) == 1


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run("puts", source=refusing(ZeroDivisionError()))


def test_an_error_with_text_of_strangers_cannot_steer_the_terminal() -> None:
    ran = run("puts", source=refusing(OSError(5, "\x1b[2J")))
    assert "\x1b" not in ran.err


def test_losses_of_other_units_are_told_apart() -> None:
    ran = run("puts", source=[gap(1460, Stage.STREAM, LossUnit.BYTES)])
    assert ran.err.splitlines() == [
        "epicsmon: puts: 0 seen, 0 delivered, 0 lost",
        "epicsmon: lost before they were events, or at their source: 1460 bytes at stream",
    ]


def test_what_the_source_counted_is_shown() -> None:
    class Counting(list[Event]):
        counters = Counters(seen=7, delivered=5, filtered=2)

    ran = run("trace", source=Counting([chain()]))
    assert ran.err.splitlines() == [
        "epicsmon: chains: 1 seen, 1 delivered, 0 lost",
        "epicsmon: calls: 7 seen, 5 delivered, 0 lost, 2 before the start or after the end",
    ]
    assert "calls" not in run("puts", source=Counting([put()])).err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "epicsmon: name a COMMAND\n"),
        (["--bogus"], "epicsmon: name a COMMAND, not --bogus\n"),
        (["pust"], "invalid choice: 'pust'"),
        (["puts", "--count", "0"], "no whole number from 1 on: '0'"),
        (["puts", "--count", "x"], "no whole number from 1 on: 'x'"),
        (["puts", "--duration", "-1"], "no duration like"),
        (["puts", "--duration", "nan"], "no duration like"),
        (["puts", "--zipkin", "http://h"], "epicsmon puts: error: unrecognized arguments"),
        (["iocs", "LINAC:*"], "epicsmon iocs: error: unrecognized arguments: LINAC:*"),
        (["puts", ""], "no name or glob like 'LINAC:*': ''"),
        (["puts", "--json", "A", "--count", "1", "!"], "no name or glob like 'LINAC:*': '!'"),
        (["trace", "--zipkin", "localhost:9411"], "no URL like http://localhost:9411"),
    ],
)
def test_usage_errors_exit_with_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == ExitCode.USAGE
    assert message in capsys.readouterr().err


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("--version")
    assert (ended.value.code, capsys.readouterr().out) == (0, f"epicsmon {version('epicsmon')}\n")


@pytest.mark.parametrize(
    ("text", "seconds"), [("10", 10), ("0.5", 0.5), ("10s", 10), ("5m", 300), ("2h", 7200), ("1d", 86400)]
)
def test_durations(text: str, seconds: float) -> None:
    assert app.parse(["puts", "--duration", text]).duration == seconds


@pytest.mark.parametrize("command", ["puts", "trace", "iocs", "doctor", "demo"])
def test_every_command_shows_examples_of_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(command, "--help")
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    examples = shown[shown.index("examples:\n") :].splitlines()[1:]
    lines = [line.split("  ")[1] for line in examples if line.startswith("  epicsmon ")]
    assert lines
    assert all(line.startswith(f"epicsmon {command}") for line in lines)


def test_the_examples_in_the_help_are_valid_command_lines(capsys: pytest.CaptureFixture[str]) -> None:
    import shlex

    for command in ("puts", "trace", "iocs", "doctor", "demo"):
        with pytest.raises(SystemExit):
            run(command, "--help")
        shown = capsys.readouterr().out
        for line in shown[shown.index("examples:\n") :].splitlines():
            if line.startswith("  epicsmon "):
                words = shlex.split(line.strip().split("   ")[0].split(" | ")[0].split(" && ")[0])
                assert app.parse(words[1:]).run
