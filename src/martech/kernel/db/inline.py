"""SQLite on the event loop's own thread.

The usual driver gives each connection a thread and crosses to it several times a statement.
Beside a second busy thread (ours has the bus) each crossing waits for the interpreter's lock, up
to a switch interval: a commit of six statements then takes 15 ms instead of one.

A statement of ours takes microseconds, so it may as well run where it is asked for. What it may
not do is wait. Another process's write lock is waited for in `Database`, with the loop free; and
the commit of what was written, which waits for the disk, runs in a thread.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import URL, AsyncAdaptedQueuePool, Pool
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import await_


class Cursor(sqlite3.Cursor):
    async def _async_soft_close(self) -> None:
        """SQLAlchemy calls this on an async driver's cursor once the statement has run; rows may
        still be fetched from it."""


class InlineConnection(sqlite3.Connection):
    committed = 0
    """`total_changes` at the last commit: whether there is anything to wait for the disk for."""

    writes = True
    """Whether the next transaction may; it has the write lock from its beginning then."""

    _query_only = False

    def cursor(self, factory: type[sqlite3.Cursor] | None = None) -> sqlite3.Cursor:  # type: ignore[override]  # typeshed has it take any factory
        return super().cursor(factory or Cursor)

    def begin(self) -> None:
        if self._query_only == self.writes:
            self._query_only = not self.writes
            self.execute(f"PRAGMA query_only={'OFF' if self.writes else 'ON'}")
        self.execute("BEGIN IMMEDIATE" if self.writes else "BEGIN")


class InlineDialect(SQLiteDialect_pysqlite):
    """The standard library's sqlite3 behind SQLAlchemy's async engine; only a commit suspends."""

    driver = "inline"
    is_async = True
    supports_statement_cache = True

    @classmethod
    def get_pool_class(cls, url: URL) -> type[Pool]:
        return AsyncAdaptedQueuePool

    def create_connect_args(self, url: URL) -> Any:
        positional, named = super().create_connect_args(url)
        return positional, {**named, "factory": InlineConnection, "check_same_thread": False}

    def do_begin(self, dbapi_connection: Any) -> None:
        dbapi_connection.driver_connection.begin()

    def do_execute(self, cursor: Any, statement: Any, parameters: Any, context: Any = None) -> None:
        cursor.execute(statement, parameters)
        await_(_done())

    def do_executemany(
        self, cursor: Any, statement: Any, parameters: Any, context: Any = None
    ) -> None:
        cursor.executemany(statement, parameters)
        await_(_done())

    def do_commit(self, dbapi_connection: Any) -> None:
        changes = dbapi_connection.total_changes
        if changes == dbapi_connection.committed:
            dbapi_connection.commit()
            return
        await_(_in_a_thread(dbapi_connection.commit))
        dbapi_connection.committed = changes


async def _in_a_thread(commit: Callable[[], None]) -> None:
    """Run *commit* with the loop free. If we are cancelled it is waited for all the same: nobody
    may touch the connection meanwhile."""
    done = asyncio.get_running_loop().run_in_executor(_disk, commit)
    try:
        await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait([done])
        raise


_disk = ThreadPoolExecutor(max_workers=8, thread_name_prefix="commit")
"""Threads of their own: whoever fills the loop's default ones may be waiting for a commit."""


async def _done() -> None:
    """SQLAlchemy wants an async driver to await something in each statement: over at once."""


registry.register("sqlite.inline", __name__, "InlineDialect")
