"""Puts what was made anew in the place of what is in use, in one transaction.

PostgreSQL   the tables change their schema: nothing is copied, and whoever asks waits for a moment
SQLite       the rows are copied: readers see the old ones until the commit, writers wait
"""

from collections.abc import Sequence

from sqlalchemy import Column, Table, UniqueConstraint, and_, delete, insert, select, true, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from martech.kernel import commands, failpoints
from martech.kernel.columns import table
from martech.kernel.db.engines import is_sqlite, sqlite_file
from martech.kernel.errors import Conflict
from martech.kernel.shadow.delivery import ShadowDelivery
from martech.kernel.shadow.schema import Shadow

PATIENCE_MS = 400
"""To wait for those who read the tables. PostgreSQL looks for deadlocks after 1000: who is in our
way goes on, and we try again."""

LOCKED = "55P03"


async def swap(shadow: Shadow, delivery: ShadowDelivery) -> bool:
    """Have the shadow take the place of what is in use, if it can catch up with it; False if it
    is to be tried again. The live subscription waits meanwhile."""
    try:
        async with shadow.owners.across() as connection:
            await delivery.live_cursors.load(connection, lock=True)
            while await delivery.step():
                pass
            if not await delivery.is_ready():
                return False
            await _take_over(shadow, connection)
            await failpoints.reach("shadow.before_commit")
    except DBAPIError as exc:
        if getattr(exc.orig, "sqlstate", None) != LOCKED:
            raise
        return False
    return True


async def _take_over(shadow: Shadow, connection: AsyncConnection) -> None:
    sqlite_url = is_sqlite(shadow.live.url)
    if sqlite_url:
        file = str(sqlite_file(shadow.live.url, shadow.name))
        await connection.exec_driver_sql(f'ATTACH DATABASE ? AS "{shadow.name}"', (file,))
    else:
        await _lock(shadow, connection)
    for column, numbered in shadow.projection.renumbered.items():
        await _renumber(shadow, connection, column, numbered)
    await (_copy if sqlite_url else _move)(shadow, connection)
    await _take_over_aside(shadow, connection)
    await commands.take_over(connection, shadow.live.metadata, table(shadow.metadata, "commands"))


async def _lock(shadow: Shadow, connection: AsyncConnection) -> None:
    """Before anything is read: who has seen a number that will be another must be through."""
    tables = ", ".join(map(str, shadow.projection.tables))
    await connection.exec_driver_sql(f"SET LOCAL lock_timeout = {PATIENCE_MS}")
    await connection.exec_driver_sql(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")


async def _move(shadow: Shadow, connection: AsyncConnection) -> None:
    tables = shadow.projection.tables
    await connection.exec_driver_sql(f"DROP TABLE {', '.join(map(str, tables))}")
    for one in map(shadow.of, tables):
        await connection.exec_driver_sql(f'ALTER TABLE {one} SET SCHEMA "{shadow.live.name}"')


async def _copy(shadow: Shadow, connection: AsyncConnection) -> None:
    for one in shadow.projection.tables:
        await connection.execute(delete(one))
        names = [column.name for column in one.c]
        await connection.execute(insert(one).from_select(names, select(shadow.of(one))))


async def _take_over_aside(shadow: Shadow, connection: AsyncConnection) -> None:
    """What the shadow could not handle; what the live one has set aside stays as it is."""
    mine, theirs = table(shadow.live.metadata, "parked"), table(shadow.metadata, "parked")
    on = postgresql if connection.dialect.name == "postgresql" else sqlite
    rows = select(theirs).where(true())
    copied = on.insert(mine).from_select([column.name for column in mine.c], rows)
    await connection.execute(copied.on_conflict_do_nothing())


async def _renumber(
    shadow: Shadow, connection: AsyncConnection, column: Column[int], numbered: Table
) -> None:
    """Have *column* follow the rows of *numbered* to the numbers that they have in the shadow."""
    new = shadow.of(numbered)
    number, words = _number(numbered), _words(numbered)
    same = and_(*(numbered.c[word] == new.c[word] for word in words))
    pairs = select(numbered.c[number].label("old"), new.c[number].label("new"))
    found = pairs.join_from(numbered, new, same).subquery()
    lost = select(column).where(~select(found.c.old).where(found.c.old == column).exists()).limit(1)
    if (await connection.execute(lost)).first() is not None:
        raise Conflict(
            f"Rows of {column.table} belong to rows of {numbered} that are not made anew. "
            "Nothing was changed."
        )
    moved = select(found.c.new).where(found.c.old == column).scalar_subquery()
    differs = select(found.c.old).where(found.c.old != found.c.new)
    await connection.execute(
        update(column.table).where(column.in_(differs)).values({column.name: moved})
    )


def _number(numbered: Table) -> str:
    (number,) = numbered.primary_key.columns
    return str(number.name)


def _words(numbered: Table) -> Sequence[str]:
    """What a row is known by, whatever its number is."""
    (unique,) = (c for c in numbered.constraints if isinstance(c, UniqueConstraint))
    return [column.name for column in unique.columns]
