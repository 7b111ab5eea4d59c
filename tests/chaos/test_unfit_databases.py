"""E18: on a database that is not what it needs the platform does not start, says why in a sentence,
and changes nothing."""

import asyncio
import contextlib
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from martech import app
from martech.__main__ import main
from martech.kernel.db.engines import is_sqlite, sqlite_file
from martech.kernel.migrate import DatabaseUnfit
from martech.kernel.settings import Settings
from tests import databases, servers
from tests.chaos.history import GuaranteeBroken

pytestmark = pytest.mark.timeout(300)

Start = Callable[[Settings], Awaitable[None]]

SCHEMA = """SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns
WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2, 3"""
REASONS = {
    "unreachable": ("does not answer", "cannot be used: Not a directory"),
    "wrong": ("holds tables, but not martech's", "cannot be used"),
    "half migrated": (r"is empty, .* Run `martech migrate`", r"does not exist\. Run"),
    "newer": ("9999, which this version does not know",) * 2,
}


def executed(url: str, sql: str) -> list[Any]:
    async def fetch() -> list[Any]:
        connection = await asyncpg.connect(url)
        try:
            return [tuple(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()

    return asyncio.run(fetch())


def spoil(url: str, how: str) -> str:
    """Break the database at *url*; the URL under which it is found broken."""
    return _spoil_file(url, how) if is_sqlite(url) else _spoil_server(url, how)


def _spoil_file(url: str, how: str) -> str:
    file = sqlite_file(url, "profiles")
    match how:
        case "unreachable":
            shutil.rmtree(file.parent)
            file.parent.write_text("a file where a folder should be")
            return f"{url}/below"
        case "wrong":
            file.write_bytes(b"this is no database" * 100)
        case "half migrated":
            file.unlink()
        case "newer":
            with contextlib.closing(sqlite3.connect(file)) as connection:
                connection.execute("UPDATE alembic_version SET version_num = '9999'")
                connection.commit()
    return url


def _spoil_server(url: str, how: str) -> str:
    match how:
        case "unreachable":
            return "postgresql://nobody@127.0.0.1:1/nothing"
        case "wrong":
            url = servers.fresh_database()
            executed(url, "CREATE SCHEMA access")
            executed(url, "CREATE TABLE access.people (name text)")
        case "half migrated":
            executed(url, "DROP SCHEMA profiles CASCADE")
        case "newer":
            executed(url, "UPDATE profiles.alembic_version SET version_num = '9999'")
    return url


def schema(url: str) -> object:
    """Every table there is, as the database says."""
    if not is_sqlite(url):
        return executed(url, SCHEMA) if "127.0.0.1:1/" not in url else None
    folder, found = sqlite_file(url, "x").parent, {}
    for file in sorted(folder.glob("*.db")) if folder.is_dir() else []:
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            try:
                rows = connection.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()
            except sqlite3.DatabaseError:
                rows = [file.read_bytes()]
        found[file.name] = rows
    return found


def judge(url: str, start: Start = app.prepare) -> str:
    """The sentence with which *start* refuses; the database is as it was."""
    before, refusal = schema(url), ""
    try:
        asyncio.run(start(Settings(database_url=url)))
    except DatabaseUnfit as unfit:
        refusal = str(unfit)
    if schema(url) != before:
        raise GuaranteeBroken("it changed the database")
    if not refusal:
        raise GuaranteeBroken("it started")
    return refusal


@pytest.mark.parametrize("how", REASONS)
def test_a_database_that_is_not_fit_is_refused_and_untouched(
    product_url: str, kind: str, how: str
) -> None:
    url = spoil(product_url, how)
    refusal = judge(url)
    started = CliRunner().invoke(main, ["serve"], env={"MARTECH_DATABASE_URL": url})
    assert started.exit_code not in (0, None)
    assert "".join(refusal.split()) in "".join(started.output.split()), "however it is wrapped"
    assert "Traceback" not in started.output
    with pytest.raises(DatabaseUnfit, match=REASONS[how][kind == "sqlite"]):
        raise DatabaseUnfit(refusal)


# --- the planted defect ---------------------------------------------------------------------------


async def creates_all(settings: Settings) -> None:
    """Makes whatever table is missing, and takes what it finds."""
    for module in databases.product():
        if not is_sqlite(settings.database_url):
            url = settings.database_url.replace("postgresql:", "postgresql+asyncpg:")
            engine = create_async_engine(url)
            async with engine.begin() as connection:
                await connection.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{module.name}"')
                await connection.run_sync(module.tables.create_all)
            await engine.dispose()
            continue
        _create_in_file(sqlite_file(settings.database_url, module.name), module.tables)


def _create_in_file(file: Path, tables: Any) -> None:
    def attach() -> sqlite3.Connection:
        connection = sqlite3.connect(":memory:")
        connection.execute(f'ATTACH DATABASE ? AS "{tables.schema}"', (str(file),))
        return connection

    engine = create_engine("sqlite://", creator=attach)
    tables.create_all(engine)
    engine.dispose()


@pytest.mark.parametrize(
    ("how", "what"), [("half migrated", "changed the database"), ("newer", "it started")]
)
@pytest.mark.planted
def test_making_tables_at_start_is_found_out(product_url: str, how: str, what: str) -> None:
    with pytest.raises(GuaranteeBroken, match=what):
        judge(spoil(product_url, how), creates_all)
