"""Counting how often programs run."""

from __future__ import annotations

from pybpf.kernel.constants import ProgramType
from pybpf.kernel.info import program_info
from pybpf.kernel.prog_ops import prog_load, prog_test_run
from pybpf.kernel.statistics import enable_statistics
from tests.support.tiny_programs import PACKET, return_value


def test_runs_are_counted_while_somebody_wants_to_know() -> None:
    with prog_load(ProgramType.SOCKET_FILTER, return_value()) as program, enable_statistics():
        prog_test_run(program, PACKET, repeat=50)
        info = program_info(program)
        assert info.run_count == 50
        assert info.run_time_ns > 0
        assert info.run_time_ns < 50 * 1_000_000
