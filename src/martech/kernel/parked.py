"""What was set aside for a person to look at: items that a subscription could not digest, and
commands that failed to the end. Retrying gives them all their attempts again."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import select, update

from martech.kernel.columns import table
from martech.kernel.commands import Commands
from martech.kernel.db import Database
from martech.kernel.errors import NotFound
from martech.kernel.host import Host
from martech.kernel.messages import View


class Parked(View, frozen=True, kw_only=True):
    module: str
    what: Literal["item", "command"]
    id: str
    """Of an item ``<subscription>/<position>/<number in the event>``, of a command its UUID."""

    tenant: UUID
    type: str
    attempts: int
    since: datetime
    error: str


async def parked(host: Host, limit: int = 100) -> list[Parked]:
    """The oldest *limit* of each kind of each module."""
    found: list[Parked] = []
    for database in host.databases.values():
        found += await _items(database, limit)
        found += await _commands(database, limit)
    return found


async def retry(host: Host, module: str, id_: str) -> None:
    """Try the parked thing again, from now on. Raises `NotFound`."""
    database = host.databases.get(module)
    if database is None:
        raise NotFound(f"There is no module {module!r} here; list the parked ones.")
    if "/" in id_:
        await _retry_item(database, id_)
    else:
        async with database.unit() as unit:
            await Commands(database.metadata).retry(unit, _uuid(id_))
        host.process.signals.wake(f"{module}.commands")


async def _items(database: Database, limit: int) -> list[Parked]:
    rows = table(database.metadata, "parked")
    oldest = select(rows).where(rows.c.due_at.is_(None)).order_by(rows.c.time).limit(limit)
    async with database.unit(write=False) as unit:
        return [
            Parked(
                module=database.name,
                what="item",
                id=f"{row.subscription}/{row.position}/{row.item}",
                tenant=row.tenant,
                type=row.type,
                attempts=row.attempts,
                since=row.time,
                error=row.error,
            )
            for row in await unit.across(oldest)
        ]


async def _commands(database: Database, limit: int) -> list[Parked]:
    async with database.unit(write=False) as unit:
        return [
            Parked(
                module=database.name,
                what="command",
                id=str(row.id),
                tenant=row.tenant,
                type=row.type,
                attempts=row.attempts,
                since=row.parked_at,
                error=row.error,
            )
            for row in await Commands(database.metadata).parked(unit, limit)
        ]


async def _retry_item(database: Database, id_: str) -> None:
    rows = table(database.metadata, "parked")
    subscription, _, place = id_.partition("/")
    position, _, item = place.partition("/")
    if not (position.isdecimal() and item.isdecimal()):
        raise NotFound(f"{id_!r} is not the id of a parked item; list the parked ones.")
    async with database.unit() as unit:
        again = update(rows).where(
            rows.c.subscription == subscription,
            rows.c.position == int(position),
            rows.c.item == int(item),
            rows.c.due_at.is_(None),
        )
        found = await unit.across(again.values(due_at=unit.now, attempts=0))
    if found.rowcount != 1:
        raise NotFound(f"There is no parked item {id_}; list the parked ones.")


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(
            f"{text!r} is not the id of a parked command; list the parked ones."
        ) from None
