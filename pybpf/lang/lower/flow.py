"""What is proven at a point of the program: which variables have a value, which pointers are not None."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pybpf.lang import ir
    from pybpf.lang.lower.state import Variable


@dataclass
class Flow:
    """What holds at one point of the program, whichever way control came there."""

    defined: set[Variable] = field(default_factory=set)
    nonnull: set[Variable] = field(default_factory=set)
    reserved: set[ir.VReg] = field(default_factory=set)
    """Records of ring buffers that must still be submitted or discarded, by the register of their address."""
    given_back: set[ir.VReg] = field(default_factory=set)
    """Records that were."""

    def copy(self) -> Flow:
        """An independent copy."""
        return Flow(set(self.defined), set(self.nonnull), set(self.reserved), set(self.given_back))

    def define(self, variable: Variable, *, nonnull: bool) -> None:
        """``variable`` has a value from here on, which is not None if ``nonnull``."""
        self.defined.add(variable)
        if nonnull:
            self.nonnull.add(variable)
        else:
            self.nonnull.discard(variable)


def merge(*flows: Flow | None) -> Flow | None:
    """What holds where control flows together; None stands for a place that is never reached."""
    reached = [flow for flow in flows if flow is not None]
    if not reached:
        return None
    result = reached[0].copy()
    for flow in reached[1:]:
        result.defined &= flow.defined
        result.nonnull &= flow.nonnull
        result.reserved &= flow.reserved
        result.given_back &= flow.given_back
    return result


@dataclass(frozen=True)
class Outcomes:
    """What holds when a condition is true and when it is false; None: that never happens."""

    when_true: Flow | None
    when_false: Flow | None

    @property
    def known(self) -> bool | None:
        """The outcome, where it was known while compiling."""
        if self.when_true is None:
            return False
        return True if self.when_false is None else None


@dataclass(eq=False)
class Loop:
    """Where ``break`` and ``continue`` lead, and what holds at each of them."""

    after: ir.Block
    following: ir.Block
    breaks: list[Flow] = field(default_factory=list)
    continues: list[Flow] = field(default_factory=list)
