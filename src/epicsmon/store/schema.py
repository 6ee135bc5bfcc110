"""The tables of the store, and how an older store becomes a current one."""

from __future__ import annotations

APPLICATION_ID = 0x45504D4E
"""Marks an SQLite file as a store of epicsmon (`PRAGMA application_id`): "EPMN"."""

VERSION = 1
"""`PRAGMA user_version` of a store with the tables below."""

TABLES = """
CREATE TABLE puts (
    id INTEGER PRIMARY KEY,
    time_ns INTEGER NOT NULL,       -- since the Unix epoch
    pv TEXT,                        -- NULL: the channel's name is not known
    pv_source TEXT,                 -- wire, memory, probe, proc
    value,                          -- INTEGER, REAL, TEXT or BLOB; arrays as JSON; see value_type
    value_type TEXT,                -- int, float, str, bytes, array, strings; NULL: the value is not known
    dbr_type INTEGER NOT NULL,
    count INTEGER NOT NULL,
    notify INTEGER NOT NULL,        -- 1: WRITE_NOTIFY
    client TEXT NOT NULL,           -- observed, host:port
    server TEXT NOT NULL,
    user TEXT,                      -- declared by the client
    host TEXT,                      -- declared by the client
    sid INTEGER NOT NULL,
    cid INTEGER,
    ioid INTEGER,
    namespace INTEGER               -- inode of the network namespace
);
CREATE INDEX puts_time ON puts (time_ns);
CREATE INDEX puts_pv ON puts (pv, time_ns);

CREATE TABLE spans (
    id INTEGER PRIMARY KEY,
    chain INTEGER NOT NULL,         -- the same for the spans of one chain; the chain's root has the smallest id
    trace_id TEXT NOT NULL,         -- 32 hexadecimal digits
    span_id TEXT NOT NULL,          -- 16 hexadecimal digits
    parent_id TEXT,
    kind TEXT NOT NULL,             -- dbProcess, dbPutField, dbProcessNotify, dbPut
    record TEXT,
    record_type TEXT,
    field TEXT,
    start_ns INTEGER NOT NULL,
    duration_ns INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    tid INTEGER NOT NULL,
    ioc TEXT NOT NULL,
    thread TEXT,
    trigger TEXT,
    value,
    value_type TEXT,
    status TEXT,
    severity TEXT,
    active INTEGER,
    count INTEGER                   -- elements that a put wrote; value holds the first of them
);
CREATE INDEX spans_chain ON spans (chain);
CREATE INDEX spans_time ON spans (start_ns);
CREATE INDEX spans_record ON spans (record, start_ns);
CREATE INDEX spans_trace ON spans (trace_id);

CREATE TABLE gaps (
    id INTEGER PRIMARY KEY,
    time_ns INTEGER NOT NULL,
    stage TEXT NOT NULL,
    lost INTEGER NOT NULL,
    unit TEXT NOT NULL,             -- events, packets, bytes
    detail TEXT NOT NULL
);
CREATE INDEX gaps_time ON gaps (time_ns);

CREATE TABLE ioc_events (
    id INTEGER PRIMARY KEY,
    time_ns INTEGER NOT NULL,
    kind TEXT NOT NULL,             -- found, started, exited
    pid INTEGER NOT NULL,
    name TEXT,
    detail TEXT NOT NULL
);
CREATE INDEX ioc_events_time ON ioc_events (time_ns);
"""
