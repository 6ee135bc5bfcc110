"""The embedded store: one SQLite file with puts, spans, gaps and IOC events."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from epicsmon.events import Chain, Event, Gap, IocEvent, PutEvent, Span
from epicsmon.sinks.base import SinkCounters, SinkError, count_events
from epicsmon.store import rows
from epicsmon.store.schema import APPLICATION_ID, TABLES, VERSION


class StoreError(Exception):
    """A file is no store that this version can use: `path` and `reason`."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


def connect(path: str | os.PathLike[str], create: bool = False) -> sqlite3.Connection:
    """A connection to a store; with `create` it may be new and is written to, else it is only read.

    Write-ahead logging: readers do not stop the writer; a batch survives the end of the process, and all but the last
    few survive a power cut (synchronous=NORMAL). Raises StoreError.
    """
    name = os.fspath(path)
    mode = "rwc" if create else "ro"
    try:
        # The pipeline opens a sink in one thread and writes in another, never in both at once.
        connection = sqlite3.connect(
            f"{Path(name).absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
        )
    except sqlite3.Error as error:
        raise StoreError(name, f"cannot be opened: {error}") from error
    try:
        _prepare(connection, name, create)
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(name, f"cannot be used: {error}") from error
    except StoreError:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, name: str, create: bool) -> None:
    connection.execute("PRAGMA busy_timeout = 5000")
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if application != APPLICATION_ID:
        if not empty or not create:
            raise StoreError(name, "is no store of epicsmon")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(
            f"BEGIN IMMEDIATE; {TABLES}"
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT;"
        )
    elif version != VERSION:
        raise StoreError(
            name, f"has version {version}, this epicsmon reads version {VERSION}: use the epicsmon that wrote it"
        )
    if create:
        connection.execute("PRAGMA synchronous = NORMAL")


class StoreSink:
    """Writes every kind of event to a store, a batch in one transaction."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self.name = f"store {self._path}"
        self.counters = SinkCounters()
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Opens or makes the store. Raises SinkError."""
        try:
            self._connection = connect(self._path, create=True)
        except StoreError as error:
            raise SinkError(self.name, error.reason) from error

    def takes(self, event: Event) -> bool:
        """Every kind."""
        return True

    def write(self, batch: Sequence[Event]) -> None:
        """Writes the batch, all or nothing. Raises SinkError, as on a full disk."""
        counted = count_events(batch)
        if self._connection is None:
            self.counters.failed += counted
            raise SinkError(self.name, "not open")
        try:
            self._insert(self._connection, batch)
        except sqlite3.Error as error:
            self.counters.failed += counted
            raise SinkError(self.name, str(error)) from error
        self.counters.accepted += counted

    def _insert(self, connection: sqlite3.Connection, batch: Sequence[Event]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            chains = [
                event if isinstance(event, Chain) else Chain((event,))
                for event in batch
                if isinstance(event, (Chain, Span))
            ]
            connection.executemany(rows.PUT_INSERT, (rows.put_row(e) for e in batch if isinstance(e, PutEvent)))
            if chains:
                first = connection.execute("SELECT coalesce(max(chain), 0) + 1 FROM spans").fetchone()[0]
                connection.executemany(
                    rows.SPAN_INSERT,
                    (rows.span_row(span, number) for number, chain in enumerate(chains, first) for span in chain.spans),
                )
            connection.executemany(rows.GAP_INSERT, (rows.gap_row(e) for e in batch if isinstance(e, Gap)))
            connection.executemany(rows.IOC_INSERT, (rows.ioc_row(e) for e in batch if isinstance(e, IocEvent)))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Folds the write-ahead log into the file and closes it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
