"""SQLite on the event loop's own thread.

The usual driver gives each connection a thread and crosses to it several times a statement.
Beside a second busy thread (ours has the bus) each crossing waits for the interpreter's lock, up
to a switch interval: a commit of six statements then takes 15 ms instead of one.

A statement of ours takes microseconds, so it may as well run where it is asked for. What it may
not do is wait: another process's write lock is waited for in `Database`, with the loop free.
"""

import sqlite3
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
    def cursor(self, factory: type[sqlite3.Cursor] | None = None) -> sqlite3.Cursor:  # type: ignore[override]
        return super().cursor(factory or Cursor)


class InlineDialect(SQLiteDialect_pysqlite):
    """The standard library's sqlite3 behind SQLAlchemy's async engine; it never suspends."""

    driver = "inline"
    is_async = True
    supports_statement_cache = True

    @classmethod
    def get_pool_class(cls, url: URL) -> type[Pool]:
        return AsyncAdaptedQueuePool

    def create_connect_args(self, url: URL) -> Any:
        positional, named = super().create_connect_args(url)
        return positional, {**named, "factory": InlineConnection, "check_same_thread": False}

    def do_execute(self, cursor: Any, statement: Any, parameters: Any, context: Any = None) -> None:
        cursor.execute(statement, parameters)
        await_(_done())

    def do_executemany(
        self, cursor: Any, statement: Any, parameters: Any, context: Any = None
    ) -> None:
        cursor.executemany(statement, parameters)
        await_(_done())


async def _done() -> None:
    """SQLAlchemy wants an async driver to await something in each statement: over at once."""


registry.register("sqlite.inline", __name__, "InlineDialect")
