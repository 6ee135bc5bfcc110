"""Questions to a store: newest first, by name and by time."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from epicsmon.events import Chain, Gap, IocEvent, PutEvent
from epicsmon.store import rows
from epicsmon.store.sqlite import connect

if TYPE_CHECKING:
    from typing_extensions import Self

_COUNTED = ("puts", "spans", "gaps", "ioc_events")


class Store:
    """A store opened for reading while another process may write to it; a context manager.

    Names are matched by shell globs (`*`, `?`, `[a-z]`, `[!a-z]`), in the case given. Times are nanoseconds since the
    epoch, `since_ns` included, `until_ns` not. Raises StoreError when the file is no store.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._connection = connect(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; may be called twice."""
        self._connection.close()

    def puts(
        self,
        pv: str | None = None,
        since_ns: int | None = None,
        until_ns: int | None = None,
        limit: int | None = None,
    ) -> Iterator[PutEvent]:
        """Puts, newest first; with `pv` only those of channels whose name is known and matches."""
        where, values = _where("pv", "time_ns", pv, since_ns, until_ns)
        cursor = self._select(
            f"SELECT {rows.PUT_COLUMNS} FROM puts {where} ORDER BY time_ns DESC, id DESC", values, limit
        )
        return map(rows.put_event, cursor)

    def chains(
        self,
        record: str | None = None,
        since_ns: int | None = None,
        until_ns: int | None = None,
        limit: int | None = None,
    ) -> Iterator[Chain]:
        """Whole chains that have a span of a matching record in that time, newest first."""
        where, values = _where("record", "start_ns", record, since_ns, until_ns)
        found = self._select(f"SELECT DISTINCT chain FROM spans {where} ORDER BY chain DESC", values, limit)
        for (chain,) in found.fetchall():
            spans = self._connection.execute(
                f"SELECT {rows.SPAN_COLUMNS} FROM spans WHERE chain = ? ORDER BY id", (chain,)
            )
            yield Chain(tuple(map(rows.span_event, spans)))

    def gaps(self, since_ns: int | None = None, until_ns: int | None = None) -> Iterator[Gap]:
        """What was lost, newest first."""
        where, values = _where("", "time_ns", None, since_ns, until_ns)
        return map(
            rows.gap_event,
            self._select(f"SELECT {rows.GAP_COLUMNS} FROM gaps {where} ORDER BY time_ns DESC, id DESC", values),
        )

    def ioc_events(self, since_ns: int | None = None, until_ns: int | None = None) -> Iterator[IocEvent]:
        """What happened to IOCs, newest first."""
        where, values = _where("", "time_ns", None, since_ns, until_ns)
        return map(
            rows.ioc_event,
            self._select(f"SELECT {rows.IOC_COLUMNS} FROM ioc_events {where} ORDER BY time_ns DESC, id DESC", values),
        )

    def counts(self) -> dict[str, int]:
        """How many rows each table has, and under `chains` how many chains."""
        found = {table: int(self._select(f"SELECT count(*) FROM {table}", []).fetchone()[0]) for table in _COUNTED}
        found["chains"] = int(self._select("SELECT count(DISTINCT chain) FROM spans", []).fetchone()[0])
        return found

    def _select(self, statement: str, values: list[int | str], limit: int | None = None) -> sqlite3.Cursor:
        if limit is not None:
            statement, values = f"{statement} LIMIT ?", [*values, limit]
        return self._connection.execute(statement, values)


def _where(
    name: str, time: str, glob: str | None, since_ns: int | None, until_ns: int | None
) -> tuple[str, list[int | str]]:
    terms: list[str] = []
    values: list[int | str] = []
    if glob is not None:
        terms.append(f"{name} GLOB ?")
        values.append(glob.replace("[!", "[^"))
    if since_ns is not None:
        terms.append(f"{time} >= ?")
        values.append(since_ns)
    if until_ns is not None:
        terms.append(f"{time} < ?")
        values.append(until_ns)
    return ("WHERE " + " AND ".join(terms) if terms else ""), values
