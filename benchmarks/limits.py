"""What the same machine does at best: decode a batch of 100 and insert its rows, nothing else."""

import asyncio
import sqlite3
import tempfile
import time
from pathlib import Path

import asyncpg
import msgspec

from benchmarks.load import Bodies
from tests import servers

SECONDS = 5.0


class Event(msgspec.Struct, rename="camel"):
    message_id: str


class Batch(msgspec.Struct):
    batch: list[msgspec.Raw]


def _rows(body: bytes) -> list[tuple[str, bytes]]:
    return [
        (msgspec.json.decode(raw, type=Event).message_id, bytes(raw))
        for raw in msgspec.json.decode(body, type=Batch).batch
    ]


def sqlite_insert() -> float:
    """Items a second: decode, insert, commit with a full sync, a batch at a time."""
    bodies = Bodies("batch", "limit")
    with tempfile.TemporaryDirectory(prefix="martech-bench-") as folder:
        database = sqlite3.connect(Path(folder) / "limit.db", isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE events (message_id TEXT PRIMARY KEY, data BLOB)")
        began, batches = time.perf_counter(), 0
        while time.perf_counter() - began < SECONDS:
            rows = _rows(bodies())
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT INTO events VALUES (?, ?)", rows)
            database.execute("COMMIT")
            batches += 1
        took = time.perf_counter() - began
        database.close()
    return batches * 100 / took


def postgresql_insert() -> float:
    return asyncio.run(_postgresql_insert(servers.fresh_database()))


async def _postgresql_insert(url: str) -> float:
    bodies = Bodies("batch", "limit")
    database = await asyncpg.connect(url)
    await database.execute("CREATE TABLE events (message_id text PRIMARY KEY, data bytea)")
    began, batches = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS:
        async with database.transaction():
            await database.executemany("INSERT INTO events VALUES ($1, $2)", _rows(bodies()))
        batches += 1
    took = time.perf_counter() - began
    await database.close()
    return batches * 100 / took
