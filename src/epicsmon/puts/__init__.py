"""From TCP segments to put events: reassembly, messages, circuits, and the tracker that holds many of them.

A program feeds `Segment`s to a `PutTracker` and takes `PutEvent`s and `Gap`s from it.
"""

from __future__ import annotations

from epicsmon.puts.circuit import PutOrGap
from epicsmon.puts.limits import Limits
from epicsmon.puts.tracker import PutTracker, TrackerCounters

__all__ = ["Limits", "PutOrGap", "PutTracker", "TrackerCounters"]
