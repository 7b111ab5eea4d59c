"""Notices what another process has committed; within one process `Process.signals` does it.

PostgreSQL tells by LISTEN/NOTIFY. SQLite changes ``PRAGMA data_version`` whenever somebody
else commits to the file; looking at it costs no read of the file. Both only shorten the wait:
the bus polls anyway.
"""

import asyncio
import logging
from collections.abc import Callable
from inspect import signature
from typing import Any

import asyncpg
from sqlalchemy import text

from martech.kernel.db import Database
from martech.kernel.tenancy import ACROSS
from martech.kernel.trouble import Trouble

log = logging.getLogger(__name__)

GLANCE = 0.1  # seconds between looks at data_version
AGAIN = 2.0  # seconds until a lost connection is tried again


async def watch(database: Database, wake: Callable[[], None]) -> None:
    """Call *wake* whenever another process commits to *database*; for ever."""
    look = _listen if database.engine.dialect.name == "postgresql" else _glance
    trouble, again = Trouble(log), f"{database.name} is watched again"
    while True:
        try:
            await look(database, wake, lambda: trouble.ends(again))
        except Exception as exc:  # noqa: BLE001 - whatever it is, polling goes on
            trouble.begins(f"cannot watch {database.name}, polling instead", str(exc))
            await asyncio.sleep(AGAIN)


async def _listen(database: Database, wake: Callable[[], None], begun: Callable[[], None]) -> None:
    connection = await asyncpg.connect(**_driver_options(database))
    lost = asyncio.Event()
    try:
        connection.add_termination_listener(lambda _: lost.set())
        await connection.add_listener(f"martech_{database.name}", lambda *_: wake())
        begun()
        wake()  # nobody listened to what was told before
        await lost.wait()
    finally:
        await connection.close(timeout=1)


def _driver_options(database: Database) -> dict[str, Any]:
    """As the engine reads its URL, without what is for SQLAlchemy alone: whatever reaches the
    database lets us listen there."""
    _, given = database.engine.dialect.create_connect_args(database.engine.url)
    known = signature(asyncpg.connect).parameters
    return {name: value for name, value in given.items() if name in known}


async def _glance(database: Database, wake: Callable[[], None], begun: Callable[[], None]) -> None:
    seen = None
    async with database.engine.connect() as connection:
        await connection.execution_options(scope=ACROSS, write=False)
        while True:
            version = await connection.execute(text(f'PRAGMA "{database.name}".data_version'))
            now = version.scalar_one()
            await connection.rollback()  # inside a transaction it would never change
            if seen is None:
                begun()
            if seen not in (None, now):
                wake()
            seen = now
            await asyncio.sleep(GLANCE)
