"""A module's data goes to another database, and can come back: `martech move-data`.

    1  name    the data is given a name, in the old place, if it never moved before
    2  copy    the new schema is made, filled, read back and compared, in one transaction   arriving
    3  store   the file of the module's store is put in its place, if it has one
    4  leave   the old place says where the data went, and is closed                        left
    5  arrive  the new place says that the data lives there                                 here

Whoever dies before 4 has changed nothing where the data lives; doing it again begins anew. Whoever
dies after it does it again too, and only 5 is left to do. At no time may both places be served.
(`whereabouts` holds what each says of itself.) Throughout, nobody else has either place in use.

It holds up its event loop: it is the command line's.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.util import greenlet_spawn
from uuid_utils.compat import uuid7

from martech.kernel import failpoints, files, migrate, whereabouts
from martech.kernel.db.engines import is_sqlite, sqlite_file
from martech.kernel.errors import Conflict
from martech.kernel.migrate import DatabaseUnfit
from martech.kernel.module import Module
from martech.kernel.moving import copying, places, stored
from martech.kernel.settings import Settings
from martech.kernel.whereabouts import Whereabouts

Watch = Callable[[str, int, int], None]
"""Told of each table while it is copied and while it is read back: rows done, and in all."""


async def move(
    module: Module,
    before: Settings,
    after: Settings,
    watch: Watch,
    *,
    rehearse: bool = False,
    migrations: Path | None = None,
) -> dict[str, copying.Digest]:
    """Take *module* from where *before* has it to where *after* does; what was moved, by table.

    With *rehearse* it is copied and compared, and then taken back: nothing has changed anywhere.
    Raises `DatabaseUnfit` or `Conflict`, with nothing lost, when it cannot be done.
    """
    name = module.name
    old, new = (settings.database_of(name) for settings in (before, after))
    places.differ(name, old, new)
    with _explained(name), _alone(name, [old, new]):
        if under_way := await _under_way(name, old, new, rehearse=rehearse):
            await _arrive(name, new, under_way)
            return {}
        await migrate.check(module, old, migrations)
        data = await _named(name, old, new, keep=not rehearse)
        await failpoints.reach("moving.after_named")
        moved = Whereabouts(uuid7(), data, "arriving", places.shown(old, name), datetime.now(UTC))
        async with migrate.transaction(old, name, write=True, alone=True) as source:
            async with migrate.transaction(new, name, write=True, alone=True) as target:
                known = await greenlet_spawn(places.clear, name, data, target)
                await greenlet_spawn(migrate.build, target, module, migrations)
                copied = await _copy(module, source, target, watch)
                store = await stored.copy(module, before, after, replace=known)
                if rehearse:
                    await greenlet_spawn(target.rollback)
                    store.remove()
                    return copied
                await greenlet_spawn(whereabouts.write, target, name, moved)
                await failpoints.reach("moving.before_copied")
            await failpoints.reach("moving.after_copied")
            store.put_in_place()
            left = moved._replace(state="left", place=places.shown(new, name))
            await greenlet_spawn(_leave, source, module, left)
            await failpoints.reach("moving.before_left")
        await failpoints.reach("moving.after_left")
        await _arrive(name, new, moved)
        return copied


async def _named(name: str, old: str, new: str, *, keep: bool) -> UUID:
    """What the data in *old* is known by, in every place it has been. It is written down before
    any of it is in *new*: what is there then, and no other, is a copy of this."""
    async with migrate.transaction(old, name, write=True, alone=True) as source:
        here = await greenlet_spawn(whereabouts.read, source, name)
        if here:
            return here.data
        move, data, place = uuid7(), uuid7(), places.shown(new, name)
        if keep:
            first = Whereabouts(move, data, "here", place, datetime.now(UTC))
            await greenlet_spawn(whereabouts.write, source, name, first)
        return data


async def _copy(
    module: Module, source: Connection, target: Connection, watch: Watch
) -> dict[str, copying.Digest]:
    copied = {}
    for table in module.tables.sorted_tables:
        copied[table.name] = await greenlet_spawn(_copy_table, source, target, table, watch)
        await failpoints.reach("moving.after_table")
    return copied


def _copy_table(
    source: Connection, target: Connection, table: Table, watch: Watch
) -> copying.Digest:
    """Every row, and the proof of it. Raises `Conflict` if what arrived is not what went."""
    rows = copying.count(source, table)
    sent = copying.Digest()
    for page in copying.pages(source, table):
        sent = sent.and_of(page)
        copying.write(target, table, page)
        watch(table.name, sent.rows, 2 * rows)
    copying.continue_numbers(source, target, table)
    arrived = copying.Digest()
    for page in copying.pages(target, table):
        arrived = arrived.and_of(page)
        watch(table.name, rows + arrived.rows, 2 * rows)
    if not sent == arrived or sent.rows != rows:
        raise Conflict(
            f"{table.fullname}: {rows} rows went, {arrived.rows} arrived, and they are not the "
            "same. Nothing was changed where they live; this is a bug of ours, so please tell us."
        )
    return sent


def _leave(source: Connection, module: Module, left: Whereabouts) -> None:
    whereabouts.write(source, module.name, left)
    why = whereabouts.refusal(module.name, left) or ""
    whereabouts.close(source, module.name, module.tables.sorted_tables, why)


async def _under_way(name: str, old: str, new: str, *, rehearse: bool) -> Whereabouts | None:
    """What stands complete in the new place, if the old one has let go of it. Raises `Conflict`
    if it does, and is to be rehearsed."""
    left, arriving = await places.found(old, name), await places.found(new, name)
    if left is None or arriving is None or left.move != arriving.move:
        return None
    if (left.state, arriving.state) != ("left", "arriving"):
        return None
    if rehearse:
        raise Conflict(
            f"{name} has left for there, and only the end of its move is missing. "
            "There is nothing to rehearse: say the same without --rehearse."
        )
    return arriving


async def _arrive(name: str, new: str, arriving: Whereabouts) -> None:
    async with migrate.transaction(new, name, write=True, alone=True) as target:
        here = arriving._replace(state="here")
        await greenlet_spawn(whereabouts.write, target, name, here)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """A disk that is full, a server that is gone, a right that is missing: in a sentence."""
    try:
        yield
    except (DBAPIError, OSError) as exc:
        cause = " ".join(str(getattr(exc, "orig", None) or exc).split())
        raise DatabaseUnfit(
            f"{name} could not be moved: {cause}. Nothing was lost; mend that, and say the same "
            "again."
        ) from exc


@contextmanager
def _alone(name: str, urls: list[str]) -> Iterator[None]:
    """Nobody serves the folders of those that are SQLite."""
    folders = [sqlite_file(url, name).parent for url in urls if is_sqlite(url)]
    try:
        with files.alone(folders):
            yield
    except ValueError as exc:
        raise DatabaseUnfit(str(exc)) from None
