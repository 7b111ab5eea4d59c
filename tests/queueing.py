"""Whoever must wait for a unit of work that is open, seen to wait for it."""

import asyncio
from typing import Any

from sqlalchemy import text

from martech.kernel.db import Database
from martech.kernel.db.engines import is_sqlite, sqlite_file

HELD_UP = """
SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE NOT granted AND datname = current_database()
"""


async def queued(waiting: asyncio.Task[Any], database: Database) -> None:
    """Return as soon as *waiting* stands in line at *database*, where a unit of work that writes is
    open: on PostgreSQL for a lock, on SQLite for its turn. Who is done first did not wait."""
    while not await _held_up(database):
        assert not waiting.done(), "it waited for nobody"
        await asyncio.sleep(0)


async def _held_up(database: Database) -> bool:
    if is_sqlite(database.url):
        file = sqlite_file(database.url, database.name).absolute()
        return bool(database.process.turn(str(file))._queue)
    async with database.across(write=False) as connection:
        return bool((await connection.execute(text(HELD_UP))).all())
