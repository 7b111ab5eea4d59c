"""Each module's migrations are a history of its own, kept in the module's own schema.

One module at a time, in one transaction, one migrator at a time. On SQLite a module is one file,
attached under the module's name, so that the same migrations run there and on PostgreSQL.

After every change the walls are raised anew, so that nobody has to remember them: the module's
role may use the rows of its own schema and nothing else, and every table with a tenant shows
only the rows of ``martech.tenant``, to its owner too.
"""

import asyncio
import sqlite3
import tempfile
import threading
from argparse import Namespace
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, aclosing, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Literal, Protocol, TypeVar

from alembic import autogenerate, command
from alembic.autogenerate.api import AutogenContext
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    Connection,
    MetaData,
    String,
    column,
    create_engine,
    inspect,
    make_url,
    select,
    table,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.types import TypeDecorator
from sqlalchemy.util import greenlet_spawn

import martech
from martech.kernel import walls, whereabouts
from martech.kernel.db.engines import is_sqlite, log_ahead, sqlite_file

T = TypeVar("T")

VERSIONS = "alembic_version"
PATIENCE = 60.0  # seconds to wait for another migrator, and for who reads a table
PAUSE = 1.0  # seconds in which others have their turn before we ask for the tables again

_alembic = threading.Lock()  # alembic keeps the running migration in a global


class DatabaseUnfit(Exception):
    """The database cannot be used as it is; the message says why and what cures it."""


class Schema(Protocol):
    """What can be migrated. A `Module` is one."""

    @property
    def name(self) -> str: ...
    @property
    def tables(self) -> MetaData: ...


def migrations() -> Path:
    """Where the histories are: inside an installed wheel, or beside `src` in a source tree."""
    package = Path(martech.__file__).parent
    packed = package / "migrations"
    return packed if packed.is_dir() else package.parents[1] / "migrations"


async def upgrade(
    module: Schema, url: str, folder: Path | None = None, revision: str = "head"
) -> None:
    """Bring *module*'s schema to *revision*; create schema, role and file if they are missing.

    Raises `DatabaseUnfit`, having changed nothing, if the database is away or holds something
    that this code does not know.
    """
    await _write(module, url, folder, lambda config: command.upgrade(config, revision))


async def downgrade(
    module: Schema, url: str, folder: Path | None = None, revision: str = "-1"
) -> None:
    """Take *module*'s schema back to *revision*; ``base`` leaves it empty."""
    await _write(module, url, folder, lambda config: command.downgrade(config, revision))


async def current(module: Schema, url: str, folder: Path | None = None) -> str | None:
    """The revision that the database is at; None when it is empty."""
    scripts = _scripts(module, folder)
    return await _run(url, module.name, lambda c: _revision(c, module.name, scripts), write=False)


def head(module: Schema, folder: Path | None = None) -> str | None:
    """The newest revision that this code knows."""
    return _scripts(module, folder).get_current_head()


async def check(module: Schema, url: str, folder: Path | None = None) -> None:
    """Raise `DatabaseUnfit` unless the schema is just what this code needs. Changes nothing."""
    found, needed = await current(module, url, folder), head(module, folder)
    if found != needed:
        raise DatabaseUnfit(
            f"The schema {module.name} is {f'at {found}' if found else 'empty'}, this version "
            f"needs {needed}. Run `martech migrate`."
        )


async def drift(module: Schema, url: str, folder: Path | None = None) -> list[str]:
    """How the migrated schema differs from the module's tables; empty when they agree."""

    def compare(connection: Connection) -> list[str]:
        context = MigrationContext.configure(connection, opts=_options(module))
        return [str(change) for change in autogenerate.compare_metadata(context, module.tables)]

    return await _run(url, module.name, compare, write=False)


async def revise(module: Schema, message: str, folder: Path | None = None) -> Path | None:
    """Write the migration that leads to the module's tables as they are now, to be read and
    corrected by a person. None if there is nothing to change."""
    number = len(list(_scripts(module, folder).walk_revisions())) + 1
    written: list[Any] = []

    def generate(connection: Connection) -> None:
        config = _config(module, folder, connection)
        Path(config.get_main_option("version_locations") or "").mkdir(exist_ok=True)
        written.append(command.revision(config, message, autogenerate=True, rev_id=f"{number:04}"))

    with tempfile.TemporaryDirectory() as scratch:
        url = f"sqlite:///{scratch}"
        await upgrade(module, url, folder)
        await _run(url, module.name, generate, write=False)
    return Path(written[0].path) if written and written[0] else None


async def _write(
    module: Schema, url: str, folder: Path | None, change: Callable[[Config], None]
) -> None:
    scripts = _scripts(module, folder)

    def run(connection: Connection) -> None:
        _revision(connection, module.name, scripts)
        _change(connection, module, folder, change)

    await _run(url, module.name, run, write=True)


def build(connection: Connection, module: Schema, folder: Path | None = None) -> None:
    """Make *module*'s schema, of which nothing is there, in the caller's `transaction`."""
    with _alembic:
        _change(connection, module, folder, lambda config: command.upgrade(config, "head"))


def _change(
    connection: Connection, module: Schema, folder: Path | None, change: Callable[[Config], None]
) -> None:
    postgresql = connection.dialect.name == "postgresql"
    if postgresql:
        walls.open_schema(connection, module.name)
    change(_config(module, folder, connection))
    if postgresql:
        walls.raise_walls(connection, module.name, module.name)
        walls.close_table(connection, module.name, VERSIONS)


def _revision(connection: Connection, name: str, scripts: ScriptDirectory) -> str | None:
    """What the schema is at. Raises `DatabaseUnfit` if it is not one of this code's, or not where
    the module's data is."""
    if why := whereabouts.refusal(name, whereabouts.read(connection, name)):
        raise DatabaseUnfit(why)
    inspector = inspect(connection)
    known = {script.revision for script in scripts.walk_revisions()}
    if not inspector.has_table(VERSIONS, schema=name):
        if name in inspector.get_schema_names() and inspector.get_table_names(schema=name):
            raise DatabaseUnfit(
                f"The schema {name} holds tables, but not martech's. Name another database."
            )
        return None
    versions = table(VERSIONS, column("version_num", String), schema=name)
    revisions = list(connection.execute(select(versions.c.version_num)).scalars())
    if unknown := sorted(set(revisions) - known):
        raise DatabaseUnfit(
            f"The schema {name} is at {unknown[0]}, which this version does not know: it was "
            "migrated by a newer one. Run that, or restore a backup."
        )
    return str(revisions[0]) if revisions else None


def _scripts(module: Schema, folder: Path | None) -> ScriptDirectory:
    return ScriptDirectory.from_config(_config(module, folder, None))


def _config(module: Schema, folder: Path | None, connection: Connection | None) -> Config:
    folder = folder or migrations()
    config = Config(cmd_opts=Namespace(quiet=True))
    config.set_main_option("script_location", str(folder))
    config.set_main_option("version_locations", str(folder / module.name))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["configure"] = {
        **_options(module),
        "connection": connection,
        "process_revision_directives": _only_if_changed,
    }
    return config


def _options(module: Schema) -> dict[str, Any]:
    return {
        "target_metadata": module.tables,
        "version_table": VERSIONS,
        "version_table_schema": module.name,
        "include_schemas": True,
        "include_name": partial(_is_ours, module.name),
        "render_as_batch": True,
        "render_item": _render,
        "transactional_ddl": True,
    }


def _is_ours(schema: str, name: str | None, kind: str, parents: object) -> bool:
    return name == schema if kind == "schema" else (kind, name) != ("table", whereabouts.TABLE)


def _render(kind: str, item: object, context: AutogenContext) -> str | Literal[False]:
    """A migration is history: it names SQL types, never classes that may change or go."""
    return f"sa.{item.impl!r}" if isinstance(item, TypeDecorator) else False


def _only_if_changed(context: object, revision: object, directives: list[Any]) -> None:
    if directives and directives[0].upgrade_ops.is_empty():
        directives.clear()


async def _run(url: str, name: str, work: Callable[[Connection], T], *, write: bool) -> T:
    """Do *work* in one transaction, in a thread: alembic is neither async nor re-entrant."""

    async def once() -> T:
        async with transaction(url, name, write=write) as connection:
            if write and not is_sqlite(url):
                await greenlet_spawn(connection.exec_driver_sql, GIVES_WAY)
            return await greenlet_spawn(work, connection)

    def serialised() -> T:
        with _alembic:
            return asyncio.run(_until_there_is_room(once, url, name))

    return await asyncio.to_thread(serialised)


async def _until_there_is_room(once: Callable[[], Awaitable[T]], url: str, name: str) -> T:
    """A table that somebody reads for long (a backup does) cannot be changed meanwhile; and all
    others would stand behind us if we waited for it, so we come again."""
    until = monotonic() + PATIENCE
    while True:
        try:
            return await once()
        except DBAPIError as exc:
            if getattr(exc.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
                raise
            if monotonic() >= until:
                users = await _users(url, name)
                raise DatabaseUnfit(
                    f"The schema {name} was in use for {PATIENCE:.0f} s: {users}. Nothing has "
                    "changed. Run `martech migrate` again when that is over."
                ) from exc
        await asyncio.sleep(PAUSE)


async def _users(url: str, name: str) -> str:
    """Who holds a lock on a table of *name*."""
    async with _on_postgresql(url, name, False, False) as connection:
        found = await greenlet_spawn(connection.execute, text(USERS), {"name": name})
        return str(found.scalar_one() or "nobody any more")


@asynccontextmanager
async def transaction(
    url: str, name: str, *, write: bool, alone: bool = False
) -> AsyncIterator[Connection]:
    """One transaction over all tenants of *name*'s schema; commits when the block ends. What it
    yields is used in `greenlet_spawn`, whichever database it is.

    *alone* raises `DatabaseUnfit` while somebody has the schema in use, and keeps others out.
    """
    if is_sqlite(url):
        with _on_sqlite(url, name, write) as connection:
            yield connection
    else:
        async with _on_postgresql(url, name, write, alone) as connection:
            yield connection


@contextmanager
def _on_sqlite(url: str, name: str, write: bool) -> Iterator[Connection]:
    file = sqlite_file(url, name).absolute()
    if write:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise DatabaseUnfit(f"{file.parent} cannot be used: {exc.strerror}.") from exc
    elif not file.is_file():  # ATTACH would make an empty one
        raise DatabaseUnfit(f"{file} does not exist. Run `martech migrate`.")

    def attach() -> sqlite3.Connection:
        connection = sqlite3.connect(":memory:", timeout=PATIENCE, isolation_level=None)
        connection.execute(f'ATTACH DATABASE ? AS "{name}"', (str(file),))
        return connection

    engine = create_engine("sqlite://", creator=attach, poolclass=NullPool)
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(engine.connect())
            connection.exec_driver_sql("BEGIN EXCLUSIVE" if write else "BEGIN")
            connection.exec_driver_sql(f'PRAGMA "{name}".schema_version')  # reads the file
        except DBAPIError as exc:
            raise DatabaseUnfit(f"{file} cannot be used: {exc.orig}.") from exc
        yield connection
        connection.commit()
        if write:  # now, so that those who open it at once find it done
            log_ahead(connection.connection, name, PATIENCE)


@asynccontextmanager
async def _on_postgresql(
    url: str, name: str, write: bool, alone: bool
) -> AsyncIterator[Connection]:
    given = make_url(url)
    target = given.set(drivername="postgresql+asyncpg")
    try:
        connection = await create_async_engine(target, poolclass=NullPool).connect()
    except Exception as exc:  # asyncpg raises its own and the system's
        raise DatabaseUnfit(
            f"{given!r} does not answer: {exc}. Start it, or correct MARTECH_DATABASE_URL."
        ) from exc
    async with aclosing(connection):
        if alone and not (await connection.execute(text(ALONE), {"name": name})).scalar_one():
            raise DatabaseUnfit(
                f"Somebody has {name} in {given!r} in use. Stop whoever serves it or works for it."
            )
        if write:
            await connection.execute(text(LOCK), {"lock": f"martech.{name}"})
        yield await connection.run_sync(lambda synchronous: synchronous)
        await connection.commit()


# Every connection of a module's own holds its half of this (`db.engines`).
ALONE = "SELECT pg_try_advisory_xact_lock(hashtext('martech.in_use'), hashtext(:name))"

# For a lock that others hold we wait no longer than they may wait for us.
GIVES_WAY = "SET LOCAL lock_timeout = '1s'"
LOCK_NOT_AVAILABLE = "55P03"
USERS = """
SELECT string_agg(DISTINCT format('%s of %s', a.pid, coalesce(a.usename, 'nobody')), ', ')
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_stat_activity a USING (pid)
WHERE c.relnamespace = to_regnamespace(:name) AND l.granted AND a.pid <> pg_backend_pid()
"""

# One migrator at a time; and a migration that moves data sees the rows of all tenants.
LOCK = "SELECT pg_advisory_xact_lock(hashtext(:lock)), set_config('martech.tenant', '*', true)"
