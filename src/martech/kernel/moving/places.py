"""The two places of a move: which they are, and whether the new one may be written to."""

from uuid import UUID

from sqlalchemy import Connection, MetaData, func, inspect, make_url, select
from sqlalchemy.util import greenlet_spawn

from martech.kernel import migrate, whereabouts
from martech.kernel.db.engines import is_sqlite, sqlite_file
from martech.kernel.errors import Conflict
from martech.kernel.migrate import DatabaseUnfit
from martech.kernel.whereabouts import Whereabouts


def shown(url: str, name: str) -> str:
    """A place as a sentence names it, without a password, and good from any folder."""
    if is_sqlite(url):
        return f"sqlite:///{sqlite_file(url, name).parent.resolve()}"
    return make_url(url).render_as_string(hide_password=True)


def differ(name: str, old: str, new: str) -> None:
    """Raise `Conflict` for one place under two names, as far as names tell."""
    if _plain(old, name) == _plain(new, name):
        raise Conflict(f"{name} is in {shown(old, name)} already. Name another place.")


def _plain(url: str, name: str) -> object:
    if is_sqlite(url):
        return sqlite_file(url, name).resolve()
    parts = make_url(url)
    return parts.host, parts.port or 5432, parts.database


async def found(url: str, name: str) -> Whereabouts | None:
    """What a place says of itself; nothing where there is nothing."""
    if is_sqlite(url) and not sqlite_file(url, name).is_file():
        return None
    async with migrate.transaction(url, name, write=False) as connection:
        return await greenlet_spawn(whereabouts.read, connection, name)


def clear(name: str, data: UUID, target: Connection) -> bool:
    """Make room in *target* for *data*; whether something of this module was there before.

    Only what nobody misses goes: an empty schema, or a copy of this very data, which lives where
    it is taken from: one that never arrived, or what was left behind. Raises `Conflict` for
    anything else.
    """
    there = whereabouts.read(target, name)
    if there is None or there.state == "here":
        _check_empty(name, target, there)
    elif there.data != data:
        raise Conflict(f"What is {name} there is other data, and {_others(there)}")
    old = MetaData(schema=name)
    old.reflect(target, schema=name)
    old.drop_all(target)
    return there is not None


def _others(there: Whereabouts) -> str:
    if there.state == "left":
        return (
            f"moved to {there.place}. If nobody needs it any more, remove it yourself, or name "
            "another place."
        )
    return (
        f"its move was broken off: it may be all that is left of what was in {there.place}. Say "
        "that move again, which ends it, or name another place."
    )


def _check_empty(name: str, target: Connection, there: Whereabouts | None) -> None:
    inspector = inspect(target)
    if name not in inspector.get_schema_names():
        return
    tables = set(inspector.get_table_names(schema=name))
    if tables and migrate.VERSIONS not in tables:
        raise DatabaseUnfit(f"The schema {name} there holds tables, but not martech's.")
    old = MetaData(schema=name)
    old.reflect(target, schema=name)
    about = (migrate.VERSIONS, whereabouts.TABLE)
    counted = [table for table in old.sorted_tables if table.name not in about]
    full = [t.name for t in counted if target.scalar(select(func.count()).select_from(t))]
    if there is not None or full:
        rows = ", ".join(full) or "without a row yet"
        raise Conflict(
            f"There is data of {name} in that place already ({rows}). Nothing was changed; name a "
            "place that has none."
        )
