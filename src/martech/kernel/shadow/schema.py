"""The schema in which a projection is made anew, beside the one in use.

    <module>           people   cursors   parked   commands   …     in use; only read from here
    <module>_shadow    people   cursors   parked   commands         what is made anew, from 0

On PostgreSQL it is a schema, on SQLite a file beside the module's. A handler does not know: where
it names a table that the shadow has, it is given the shadow's. Where it would write to another, it
is stopped.
"""

import asyncio
import fcntl
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from martech.kernel import walls
from martech.kernel.columns import bare_metadata, table
from martech.kernel.db import Database
from martech.kernel.db.engines import (
    create_owners_engine,
    create_shadow_engine,
    is_sqlite,
    shadow_of,
    sqlite_file,
)
from martech.kernel.errors import Conflict
from martech.kernel.module import ManifestError, Projection

KERNELS = ("cursors", "parked", "commands")
"""The kernel's own tables that a shadow has, too."""


class ShadowDatabase(Database):
    """What a handler works on whose effects go to the shadow."""

    def __init__(self, live: Database, engine: AsyncEngine) -> None:
        super().__init__(
            live.url,
            live.metadata,
            clock=live.clock,
            process=live.process,
            inward=live.inward,
            engine=engine,
        )
        self._turn = None  # nobody else writes here


class Shadow:
    """One projection's, for as long as it is made anew."""

    def __init__(self, live: Database, projection: Projection) -> None:
        self.live = live
        self.projection = projection
        self.name = shadow_of(live.name)
        self.metadata = bare_metadata(self.name)
        kernels = [table(live.metadata, name) for name in KERNELS]
        for one in (*projection.tables, *projection.beside, *kernels):
            one.to_metadata(self.metadata, schema=self.name)
        engine = create_shadow_engine(live.url, live.name)
        names = {str(one): f"{self.name}.{one.name}" for one in live.metadata.tables.values()}
        there = {old: new for old, new in names.items() if new in self.metadata.tables}
        redirect(engine, live.name, there, projection.of.name)
        self.database = ShadowDatabase(live, engine)
        self.owners = Database(
            live.url,
            live.metadata,
            clock=live.clock,
            process=live.process,
            engine=create_owners_engine(live.url, live.name),
        )
        """Who may put the shadow in the place of what is in use."""

    def of(self, one: Table) -> Table:
        """The shadow of *one*."""
        return table(self.metadata, one.name)

    @asynccontextmanager
    async def there(self) -> AsyncIterator[None]:
        """The shadow, empty, while the block runs. What a killed one left behind is removed first.
        Raises `Conflict` while another process makes one of this module."""
        async with _alone(self.owners, self.name):
            try:
                await self._remove()
                await self._make()
                yield
            finally:
                await self.database.close()
                await self._remove()
                await self.owners.close()

    async def remove(self) -> None:
        """Remove what a killed one left behind. Raises `Conflict` while one is being made."""
        async with _alone(self.owners, self.name):
            await self._remove()
        await self.database.close()
        await self.owners.close()

    async def _make(self) -> None:
        sqlite = is_sqlite(self.live.url)
        async with (self.database if sqlite else self.owners).across() as connection:
            await connection.run_sync(self._make_tables)

    def _make_tables(self, connection: Connection) -> None:
        postgresql = connection.dialect.name == "postgresql"
        if postgresql:
            connection.exec_driver_sql(f'CREATE SCHEMA "{self.name}"')
        self.metadata.create_all(connection, checkfirst=False)
        if postgresql:
            walls.raise_walls(connection, self.name, self.live.name)

    async def _remove(self) -> None:
        if is_sqlite(self.live.url):
            for file in self._files():
                await asyncio.to_thread(file.unlink, missing_ok=True)
            return
        async with self.owners.across() as connection:
            await connection.exec_driver_sql(f'DROP SCHEMA IF EXISTS "{self.name}" CASCADE')

    def _files(self) -> list[Path]:
        file = sqlite_file(self.live.url, self.name)
        return [file.with_name(file.name + more) for more in ("", "-wal", "-shm")]


def redirect(engine: AsyncEngine, module: str, there: Mapping[str, str], handler: str) -> None:
    """Have statements name the tables *there* by their new names, and change no others."""
    names = re.compile(rf"(?<![\w.])({'|'.join(map(re.escape, there))})(?!\w)")
    astray = re.compile(rf"\s*(?:INSERT INTO|UPDATE|DELETE FROM)\s+({re.escape(module)}\.\w+)")

    @lru_cache(maxsize=1024)
    def redirected(statement: str) -> str:
        changed = names.sub(lambda found: there[found[0]], statement)
        if out := astray.match(changed):
            raise ManifestError(
                f"{handler} writes to {out[1]}, which its projection does not name: put it among "
                "its tables, or beside them, in the module's manifest."
            )
        return changed

    @event.listens_for(engine.sync_engine, "before_cursor_execute", retval=True)
    def _(_c: object, _u: object, statement: str, parameters: Any, *_more: object) -> Any:
        return redirected(statement), parameters


@asynccontextmanager
async def _alone(owners: Database, name: str) -> AsyncIterator[None]:
    """One shadow of a module at a time. Who is killed holds nothing."""
    busy = Conflict(f"Another replay makes {name} just now. Wait for its end.")
    if is_sqlite(owners.url):
        lock = sqlite_file(owners.url, name).with_suffix(".lock")
        with lock.open("a") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise busy from None
            yield
        return
    async with owners.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT", scope="*")
        taken = text("SELECT pg_try_advisory_lock(hashtext(:lock))")
        if not (await connection.execute(taken, {"lock": f"martech.{name}"})).scalar_one():
            raise busy
        try:
            yield
        finally:
            await connection.invalidate()  # with the session ends its lock
