"""A module's schema has a history of its own, on both databases, and nobody forgets its walls."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copy
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Column, Index, MetaData, String, Table, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from martech.kernel import migrate
from martech.kernel.columns import Id, Json, UtcDateTime, tenant_column
from martech.kernel.db import module_metadata
from martech.kernel.db.engines import create_engine, is_sqlite, sqlite_file
from martech.kernel.migrate import DatabaseUnfit
from tests.chaos.processes import Child, Say
from tests.servers import fresh_database

pytestmark = pytest.mark.anyio

TENANT, OTHER = UUID(int=1), UUID(int=2)


@dataclass
class Shelf:
    """A module as far as migrations are concerned."""

    tables: MetaData
    name: str = "shelf"


def first() -> Shelf:
    tables = module_metadata("shelf")
    Table(
        "books",
        tables,
        Column("id", Id, primary_key=True),
        tenant_column(),
        Column("title", String, nullable=False),
        Column("extra", Json),
        Column("bought_at", UtcDateTime),
        Index(None, "title"),
    )
    return Shelf(tables)


def second() -> Shelf:
    """One column more, one renamed (``title`` to ``name``), one that may no longer be empty."""
    tables = module_metadata("shelf")
    Table(
        "books",
        tables,
        Column("id", Id, primary_key=True),
        tenant_column(),
        Column("name", String, nullable=False),
        Column("extra", Json, nullable=False),
        Column("bought_at", UtcDateTime),
        Column("colour", String),
        Index(None, "name"),
    )
    return Shelf(tables)


CHANGE = '''"""a colour, another name"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("books", sa.Column("colour", sa.String()), schema="shelf")
    op.execute("UPDATE shelf.books SET extra = title WHERE extra IS NULL" if {lite} else
               "UPDATE shelf.books SET extra = convert_to(title, 'UTF8') WHERE extra IS NULL")
    op.drop_index("ix_books_title", table_name="books", schema="shelf")
    op.alter_column("books", "title", new_column_name="name", schema="shelf")
    with op.batch_alter_table("books", schema="shelf") as batch:
        batch.alter_column("extra", existing_type=sa.LargeBinary(), nullable=False)
    op.create_index("ix_books_name", "books", ["name"], schema="shelf")


def downgrade() -> None:
    op.drop_index("ix_books_name", table_name="books", schema="shelf")
    with op.batch_alter_table("books", schema="shelf") as batch:
        batch.alter_column("extra", existing_type=sa.LargeBinary(), nullable=True)
        batch.drop_column("colour")
    op.alter_column("books", "name", new_column_name="title", schema="shelf")
    op.create_index("ix_books_title", "books", ["title"], schema="shelf")
'''.replace("{lite}", 'op.get_context().dialect.name == "sqlite"')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A place for histories, with the project's own env.py and template."""
    folder = tmp_path / "migrations"
    (folder / "shelf").mkdir(parents=True)
    for name in ("env.py", "script.py.mako"):
        copy(migrate.migrations() / name, folder)
    return folder


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/data" if request.param == "sqlite" else fresh_database()


@asynccontextmanager
async def connected(url: str, tenant: UUID | str | None = TENANT) -> AsyncIterator[AsyncConnection]:
    """As a module is: on PostgreSQL in its own role, with its tenant set."""
    engine = create_engine(url, "shelf")
    try:
        async with engine.connect() as connection:
            await connection.execution_options(scope="*")
            if tenant and not is_sqlite(url):
                setting = text("SELECT set_config('martech.tenant', :tenant, true)")
                await connection.execute(setting, {"tenant": str(tenant)})
            yield connection
            await connection.commit()
    finally:
        await engine.dispose()


async def rows(url: str, statement: str, **values: object) -> list[Mapping[str, Any]]:
    async with connected(url) as connection:
        result = await connection.execute(text(statement), values)
        return [dict(row) for row in result.mappings()] if result.returns_rows else []


BOOK = """INSERT INTO shelf.books (id, tenant, title)
    VALUES ('00000000000000000000000000000009', '00000000000000000000000000000001', 'Emma')"""


async def test_a_written_migration_leads_exactly_to_the_tables(folder: Path, url: str) -> None:
    written = await migrate.revise(first(), "a shelf", folder)
    assert written is not None
    assert written.name == "0001_a_shelf.py"
    assert "martech" not in written.read_text(), "history must not depend on today's classes"
    await migrate.upgrade(first(), url, folder)
    assert await migrate.drift(first(), url, folder) == []
    assert await migrate.revise(first(), "nothing", folder) is None
    assert await migrate.current(first(), url, folder) == migrate.head(first(), folder) == "0001"


async def test_adding_renaming_and_altering_keep_what_was_there(folder: Path, url: str) -> None:
    await migrate.revise(first(), "a shelf", folder)
    await migrate.upgrade(first(), url, folder)
    await rows(url, BOOK)
    (folder / "shelf" / "0002_a_colour.py").write_text(CHANGE)

    await migrate.upgrade(second(), url, folder)
    assert await migrate.drift(second(), url, folder) == []
    (book,) = await rows(url, "SELECT name, colour FROM shelf.books")
    assert book == {"name": "Emma", "colour": None}

    await migrate.downgrade(first(), url, folder)
    assert await migrate.drift(first(), url, folder) == []
    assert await rows(url, "SELECT title FROM shelf.books") == [{"title": "Emma"}]

    await migrate.downgrade(first(), url, folder, "base")
    assert await migrate.current(first(), url, folder) is None


async def test_what_autogenerate_sees_is_the_change_and_nothing_else(folder: Path) -> None:
    await migrate.revise(first(), "a shelf", folder)
    written = await migrate.revise(second(), "another", folder)
    assert written is not None
    assert "0001" in written.read_text()
    assert "outbox" not in written.read_text()


async def test_a_failing_migration_leaves_nothing_behind(folder: Path, url: str) -> None:
    await migrate.revise(first(), "a shelf", folder)
    broken = CHANGE.replace(
        "def downgrade", '    op.drop_table("nowhere", schema="shelf")\n\ndef downgrade'
    )
    (folder / "shelf" / "0002_broken.py").write_text(broken)
    with pytest.raises(DBAPIError, match="nowhere"):
        await migrate.upgrade(second(), url, folder)
    assert await migrate.current(first(), url, folder) is None
    (folder / "shelf" / "0002_broken.py").unlink()
    await migrate.upgrade(first(), url, folder)
    assert await migrate.drift(first(), url, folder) == []


async def test_a_database_that_is_behind_is_refused_with_the_cure(folder: Path, url: str) -> None:
    await migrate.revise(first(), "a shelf", folder)
    await migrate.upgrade(first(), url, folder)
    await migrate.check(first(), url, folder)
    (folder / "shelf" / "0002_a_colour.py").write_text(CHANGE)
    with pytest.raises(DatabaseUnfit, match=r"at 0001, this version needs 0002\. Run `martech m"):
        await migrate.check(second(), url, folder)


async def test_a_newer_database_is_refused_and_untouched(folder: Path, url: str) -> None:
    await migrate.revise(first(), "a shelf", folder)
    newer = folder / "shelf" / "0002_a_colour.py"
    newer.write_text(CHANGE)
    await migrate.upgrade(second(), url, folder)
    newer.unlink()
    for attempt in (migrate.upgrade, migrate.check, migrate.downgrade):
        with pytest.raises(DatabaseUnfit, match="0002, which this version does not know"):
            await attempt(first(), url, folder)
    newer.write_text(CHANGE)
    assert await migrate.drift(second(), url, folder) == []


async def test_somebody_elses_tables_are_refused_and_untouched(folder: Path, url: str) -> None:
    await migrate.revise(first(), "a shelf", folder)
    await strangers_table(url)
    for attempt in (migrate.upgrade, migrate.check):
        with pytest.raises(DatabaseUnfit, match="holds tables, but not martech's"):
            await attempt(first(), url, folder)
    assert await tables(url) == {"strangers"}


async def test_looking_at_a_database_that_is_not_there_makes_none(
    folder: Path, tmp_path: Path
) -> None:
    await migrate.revise(first(), "a shelf", folder)
    absent = f"sqlite:///{tmp_path}/absent"
    with pytest.raises(DatabaseUnfit, match=r"does not exist\. Run `martech migrate`"):
        await migrate.check(first(), absent, folder)
    assert not (tmp_path / "absent").exists()
    with pytest.raises(DatabaseUnfit, match="does not answer"):
        await migrate.upgrade(first(), "postgresql://nobody:secret@127.0.0.1:1/none", folder)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "shelf.db").write_text("a letter, and not a database" * 100)
    with pytest.raises(DatabaseUnfit, match="not a database"):
        await migrate.upgrade(first(), f"sqlite:///{tmp_path}/data", folder)


async def test_a_password_is_not_shown(folder: Path) -> None:
    with pytest.raises(DatabaseUnfit) as refused:
        await migrate.upgrade(first(), "postgresql://nobody:secret@127.0.0.1:1/none", folder)
    assert "secret" not in str(refused.value)


async def test_many_migrators_at_once_do_it_once(folder: Path, url: str) -> None:
    await migrate.revise(first(), "a shelf", folder)
    here = [migrate.upgrade(first(), url, folder) for _ in range(3)]
    elsewhere = [migrating_elsewhere(url, folder) for _ in range(3)]
    await asyncio.gather(*here, *elsewhere)
    assert await migrate.drift(first(), url, folder) == []


@pytest.fixture
def postgresql() -> str:
    return fresh_database()


async def test_every_tenant_table_is_walled_without_being_asked(
    folder: Path, postgresql: str
) -> None:
    await migrate.revise(first(), "a shelf", folder)
    await migrate.upgrade(first(), postgresql, folder)
    await rows(postgresql, BOOK)
    async with connected(postgresql, OTHER) as connection:
        assert (await connection.execute(text("SELECT * FROM shelf.books"))).all() == []
        assert (await connection.execute(text("DELETE FROM shelf.books"))).rowcount == 0
        with pytest.raises(DBAPIError, match="row-level security"):
            await connection.execute(text(BOOK))
    async with connected(postgresql, None) as connection:
        with pytest.raises(DBAPIError, match=r"martech\.tenant"):
            await connection.execute(text("SELECT * FROM shelf.books"))
    async with connected(postgresql, "*") as connection:
        assert len((await connection.execute(text("SELECT * FROM shelf.books"))).all()) == 1


async def test_while_somebody_reads_for_long_a_migration_lets_others_through(
    folder: Path, postgresql: str
) -> None:
    await migrate.revise(first(), "a shelf", folder)
    await migrate.upgrade(first(), postgresql, folder)
    await migrate.revise(second(), "another", folder)
    async with connected(postgresql) as backup:
        await backup.execute(text("SELECT * FROM shelf.books"))
        migrating = asyncio.create_task(migrate.upgrade(second(), postgresql, folder))
        while not await rows(postgresql, "SELECT 1 FROM pg_locks WHERE NOT granted"):
            assert not migrating.done()
        await rows(postgresql, "SELECT * FROM shelf.books")  # which would stand behind it
        assert not migrating.done()
    await migrating
    assert await migrate.drift(second(), postgresql, folder) == []


async def test_who_reads_for_too_long_is_named(
    folder: Path, postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "PATIENCE", 0)
    await migrate.revise(first(), "a shelf", folder)
    await migrate.upgrade(first(), postgresql, folder)
    await migrate.revise(second(), "another", folder)
    before = await migrate.current(second(), postgresql, folder)
    async with connected(postgresql) as backup:
        await backup.execute(text("SELECT * FROM shelf.books"))
        with pytest.raises(
            migrate.DatabaseUnfit, match=r"in use for 0 s: \d+ of postgres\. Nothing"
        ):
            await migrate.upgrade(second(), postgresql, folder)
    assert await migrate.current(second(), postgresql, folder) == before


async def test_the_role_is_nobody_special_and_sees_no_neighbour(
    folder: Path, postgresql: str
) -> None:
    await migrate.revise(first(), "a shelf", folder)
    await migrate.upgrade(first(), postgresql, folder)
    async with connected(postgresql) as connection:
        who = await connection.execute(
            text("SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname=current_user")
        )
        assert who.one() == ("shelf", False, False)
        for refused in ("SELECT * FROM shelf.alembic_version", "CREATE TABLE shelf.more (id int)"):
            savepoint = await connection.begin_nested()
            with pytest.raises(DBAPIError, match="permission denied"):
                await connection.execute(text(refused))
            await savepoint.rollback()
    neighbour = Shelf(module_metadata("cellar"), "cellar")
    await migrate.revise(neighbour, "a cellar", folder)
    await migrate.upgrade(neighbour, postgresql, folder)
    async with connected(postgresql) as connection:
        with pytest.raises(DBAPIError, match="permission denied for schema cellar"):
            await connection.execute(text("SELECT * FROM cellar.outbox"))


async def test_a_plain_user_that_may_create_roles_is_enough(folder: Path, postgresql: str) -> None:
    await migrate.revise(first(), "a shelf", folder)
    mine = make_url(postgresql).database
    async with as_superuser(postgresql) as connection:
        await connection.execute(text("DROP ROLE IF EXISTS attic"))
        await connection.execute(text(f'CREATE ROLE "plain_{mine}" LOGIN CREATEROLE'))
        await connection.execute(text(f'GRANT CREATE ON DATABASE "{mine}" TO "plain_{mine}"'))
    plain = make_url(postgresql).set(username=f"plain_{mine}").render_as_string(False)
    attic = Shelf(module_metadata("attic"), "attic")
    await migrate.revise(attic, "an attic", folder)
    await migrate.upgrade(attic, plain, folder)
    engine = create_engine(plain, "attic")
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT current_user"))).scalar() == "attic"
    await engine.dispose()


async def strangers_table(url: str) -> None:
    if is_sqlite(url):
        file = sqlite_file(url, "shelf")
        file.parent.mkdir(parents=True)
        with sqlite3.connect(file) as connection:
            connection.execute("CREATE TABLE strangers (id integer)")
        return
    async with as_superuser(url) as connection:
        await connection.execute(text("CREATE SCHEMA shelf"))
        await connection.execute(text("CREATE TABLE shelf.strangers (id integer)"))


async def tables(url: str) -> set[str]:
    if is_sqlite(url):
        with sqlite3.connect(sqlite_file(url, "shelf")) as connection:
            return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    async with as_superuser(url) as connection:
        found = text("SELECT tablename FROM pg_tables WHERE schemaname = 'shelf'")
        return set((await connection.execute(found)).scalars())


@asynccontextmanager
async def as_superuser(url: str) -> AsyncIterator[AsyncConnection]:
    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    async with engine.begin() as connection:
        yield connection
    await engine.dispose()


async def migrating_elsewhere(url: str, folder: Path) -> None:
    """The same, in another process."""
    assert await Child(migrating, url, folder).ended() == 0


async def migrating(say: Say, url: str, folder: Path) -> None:
    await migrate.upgrade(first(), url, folder)
