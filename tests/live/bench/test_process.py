"""The benchmark measures what it says: its loop processes every record, a probe on dbProcess shows in its figures."""

from __future__ import annotations

import os

import pytest

from bench import process

pytestmark = pytest.mark.needs("epics", "uprobes")


def test_an_empty_session_probe_shows_in_every_dbprocess():
    before = os.sched_getaffinity(0)
    rows = {row["variant"]: row for row in process.as_json(process.run(3, with_trace=False, say=lambda _: None))}
    assert rows["bare"]["ns"] > 20
    # Two kernel entries per call: no machine does that in the time of a dbProcess itself.
    assert rows["empty session probe"]["added_ns"] > rows["bare"]["ns"]
    assert rows["bare again"]["ns"] < rows["empty session probe"]["ns"]
    assert os.sched_getaffinity(0) == before


def test_the_loop_walks_the_whole_chain(tmp_path):
    with process.LoopingIoc(tmp_path, cpu=None) as ioc:
        # looping_ioc ends with an error if a chain is skipped or cut short; then nothing is answered.
        assert ioc.burst(number=7) > ioc.burst("walk", number=7)
