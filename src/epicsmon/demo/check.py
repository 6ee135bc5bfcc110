"""What the monitors saw, held against what the clients say they did and what the database is made to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from epicsmon.events import Chain, PutEvent, Span, SpanKind

# Every record that processes when Magnet:CurrentSet does, and which one made it (demo.db).
PARENTS: Mapping[str, str | None] = {
    "Magnet:CurrentSet": None,
    "Magnet:Update": "Magnet:CurrentSet",
    "Magnet:Field": "Magnet:Update",
    "Magnet:Tune": "Magnet:Field",
    "Magnet:Power": "Magnet:Update",
    "Interlock:Load": "Magnet:Power",
    "Interlock:Trip": "Interlock:Load",
    "Magnet:Deviation": "Magnet:Update",
    "Magnet:Measured": "Magnet:Deviation",
}


@dataclass(frozen=True)
class CheckResult:
    """Whether something was captured as it happened, and a line that says so."""

    passed: bool
    text: str


def check_puts(made: Sequence[Mapping[str, Any]], logged: Iterable[PutEvent]) -> CheckResult:
    """Each client's own log against the put log: the same PVs, the same number of puts to each, names known."""
    wanted = Counter(str(put["pv"]) for put in made)
    found = Counter(put.pv for put in logged)
    differences = [
        f"{pv}: {wanted[pv]} made, {found[pv]} logged"
        for pv in sorted({*wanted, *(pv or "unknown" for pv in found)})
        if wanted[pv] != found[pv]
    ]
    total = sum(wanted.values())
    if not total:
        return CheckResult(False, "the clients made no put")
    if differences:
        return CheckResult(False, f"the put log differs from what the clients did: {'; '.join(differences)}")
    return CheckResult(True, f"the clients made {total} puts to {len(wanted)} PVs: each is in the log")


def check_chains(chains: Iterable[Chain], prefix: str) -> CheckResult:
    """The best chain of Magnet:CurrentSet against the database: each record once, under the record that made it."""
    wanted = {prefix + record: None if parent is None else prefix + parent for record, parent in PARENTS.items()}
    complaint = f"no chain of {prefix}Magnet:CurrentSet was traced"
    for chain in chains:
        found = record_parents(chain)
        if found == wanted:
            return CheckResult(True, f"{len(found)} records of {prefix}Magnet:CurrentSet's chain: each under its cause")
        if f"{prefix}Magnet:CurrentSet" in found:
            records = {str(record) for record in (*found, *wanted)}
            wrong = sorted(record for record in records if found.get(record, "") != wanted.get(record, ""))
            complaint = f"the chain of {prefix}Magnet:CurrentSet differs from the database at {', '.join(wrong)}"
    return CheckResult(False, complaint)


def record_parents(chain: Chain) -> dict[str | None, str | None]:
    """Return which record's processing made each record of the chain process; None for the first."""
    parents: dict[str | None, str | None] = {}
    stack: list[tuple[Span, str | None]] = [(chain.root, None)]
    while stack:
        span, above = stack.pop()
        if span.kind is SpanKind.PROCESS:
            parents[span.record] = above
            above = span.record
        stack.extend((child, above) for child in chain.children(span))
    return parents
