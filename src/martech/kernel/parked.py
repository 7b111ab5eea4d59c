"""What was set aside for a person to look at: items that a subscription could not digest, and
commands that failed to the end. Retrying gives them all their attempts again; dropping gives them
up, with a reason. Both are audited.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Executable, Row, Table, delete, select, tuple_, update

from martech.kernel.audit import Audited
from martech.kernel.auth import Principal
from martech.kernel.columns import table
from martech.kernel.commands import Commands
from martech.kernel.db import Database, Transaction, Unit
from martech.kernel.errors import Conflict, Invalid, NotFound
from martech.kernel.host import Host
from martech.kernel.messages import View
from martech.kernel.paging import Number, Small, Word, cursor, place
from martech.kernel.tenancy import ACROSS, Scope

RETRIED, DROPPED = "parked.retried", "parked.dropped"
LONGEST_REASON = 500
FIRST_COMMAND = UUID(int=0)

PORTION = 200
"""Of all that is tried again, so much in one transaction."""


class Parked(View, frozen=True, kw_only=True):
    id: str
    """Of an item ``<subscription>:<position>:<number in the event>``, of a command its UUID."""

    module: str
    what: Literal["item", "command"]
    tenant: UUID
    type: str
    subject: str
    """Of an item, whom or what it is about; empty of a command."""

    attempts: int
    since: datetime
    """When an item was told, or a command given up."""

    error: str


class Act(View, frozen=True, kw_only=True):
    """Who has tried it again."""

    at: datetime
    actor: str
    action: str


class ParkedThing(Parked, frozen=True, kw_only=True):
    data: object
    """What was told or is to be done, as JSON; a text where it is none."""

    event: UUID | None
    history: Sequence[Act]


class ParkedPage(View, frozen=True, kw_only=True):
    data: Sequence[Parked]
    next: str | None


class Tried(View, frozen=True, kw_only=True):
    retried: int


class Wanted(NamedTuple):
    """Which of them."""

    subscription: str | None = None
    type: str | None = None


EVERYTHING: Final = Wanted()


class _Place(NamedTuple):
    """In the order of a list: items by subscription and position, then commands by their ids."""

    subscription: Word
    position: Number
    item: Small
    command: UUID


class ParkedThings:
    """Those of one module: of one tenant for whoever shows its key, of all for the operator."""

    def __init__(
        self,
        database: Database,
        unit: Unit,
        scope: Scope = ACROSS,
        principal: Principal | None = None,
    ) -> None:
        self._database, self._name = database, database.name
        self._unit, self._scope, self._principal = unit, scope, principal
        self._items = table(database.metadata, "parked")
        self._commands = table(database.metadata, "commands")
        self._audit = table(database.metadata, "audit")
        self._jobs = Commands(database.metadata)

    @classmethod
    def of(cls, database: Database, tx: Transaction) -> "ParkedThings":
        return cls(database, tx.unit, tx.tenant, tx.principal)

    async def page(
        self, wanted: Wanted = EVERYTHING, *, after: str | None = None, limit: int = 100
    ) -> ParkedPage:
        """Raises `Invalid` for an *after* that is no page's ``next``."""
        at = place(after, _Place) if after is not None else None
        found: list[tuple[_Place, Parked]] = []
        if at is None or at.subscription:
            rows = await self._page_of_items(wanted, at, limit + 1)
            found = [(_at_item(row), self._item(row)) for row in rows]
        if len(found) <= limit and wanted.subscription is None:
            behind = at.command if at else FIRST_COMMAND
            rows = await self._page_of_commands(wanted, behind, limit + 1 - len(found))
            found += [(_Place("", 0, 0, row.id), self._command(row)) for row in rows]
        more = len(found) > limit
        shown = found[:limit]
        return ParkedPage(
            data=[one for _, one in shown], next=cursor(*shown[-1][0]) if more else None
        )

    async def show(self, id_: str) -> ParkedThing:
        """With its bytes, and who has tried it again. Raises `NotFound`."""
        row, one = await self._find(id_)
        return ParkedThing(
            **msgspec.structs.asdict(one),
            data=_shown(bytes(row.data)),
            event=row.event if one.what == "item" else None,
            history=await self._history(one),
        )

    async def retry(self, id_: str) -> None:
        """Try it again, from now on. Raises `NotFound`, and `Conflict` for a command of which a
        newer one is open."""
        _, one = await self._find(id_)
        if one.what == "command":
            await self._jobs.retry(self._unit, UUID(id_))
        else:
            again = update(self._items).where(*self._one(id_))
            await self._execute(again.values(due_at=self._unit.now, attempts=0))
        self._note(one, RETRIED)

    async def retry_all(self, wanted: Wanted) -> int:
        """Try everything *wanted* again; how much that was. A command of which a newer one is open
        stays. Raises `Invalid` if neither a subscription nor a type is named.

        By portions, each in a unit of its own and followed by a rest as long as it took: however
        much is parked, others write meanwhile. What breaks it off leaves the portions before.
        """
        if wanted == EVERYTHING:
            raise Invalid("Name a subscription or a type, or one id.", field="subscription")
        clock, after, tried = asyncio.get_running_loop().time, None, 0
        while True:
            began = clock()
            async with self._database.unit() as unit:
                portion = ParkedThings(self._database, unit, self._scope, self._principal)
                page = await portion.page(wanted, after=after, limit=PORTION)
                tried += await portion._try_page_again(page.data)
            if page.next is None:
                return tried
            after = page.next
            await asyncio.sleep(clock() - began)

    async def _try_page_again(self, page: Sequence[Parked]) -> int:
        items = [one for one in page if one.what == "item"]
        commands = [one for one in page if one.what == "command"]
        tried = await self._try_items_again(items) if items else 0
        return tried + sum([await self._try_again(one) for one in commands])

    async def _try_items_again(self, items: Sequence[Parked]) -> int:
        c = self._items.c
        key = c.subscription, c.position, c.item
        these = tuple_(*key).in_([_key(one.id) for one in items])
        again = update(self._items).where(*self._mine(self._items), c.due_at.is_(None), these)
        values = again.values(due_at=self._unit.now, attempts=0)
        tried = {tuple(row) for row in await self._rows(values.returning(*key))}
        for one in items:
            if _key(one.id) in tried:
                self._note(one, RETRIED)
        return len(tried)

    async def _try_again(self, one: Parked) -> bool:
        connection = await self._unit.enter(self._scope)
        await connection.execution_options(scope=ACROSS)  # a savepoint is nobody's row
        try:
            async with connection.begin_nested():
                await self.retry(one.id)
        except (Conflict, NotFound):  # or somebody else was faster
            return False
        return True

    async def drop(self, id_: str, reason: str) -> None:
        """Give it up. Raises `NotFound`, and `Invalid` without a reason."""
        reason = " ".join(reason.split())
        if not 1 <= len(reason) <= LONGEST_REASON:
            raise Invalid(
                f"Say why, in 1 to {LONGEST_REASON} characters: it is audited.", field="reason"
            )
        _, one = await self._find(id_)
        dropped = self._items if one.what == "item" else self._commands
        await self._execute(delete(dropped).where(*self._one(id_)))
        self._note(one, DROPPED, type=one.type, error=one.error[:LONGEST_REASON], reason=reason)

    async def _page_of_items(self, wanted: Wanted, at: _Place | None, limit: int) -> Sequence[Any]:
        c = self._items.c
        query = select(self._items).where(*self._mine(self._items), c.due_at.is_(None))
        for column, value in ((c.subscription, wanted.subscription), (c.type, wanted.type)):
            if value is not None:
                query = query.where(column == value)
        order = c.subscription, c.position, c.item
        if at is not None:
            query = query.where(tuple_(*order) > at[:3])
        return await self._rows(query.order_by(*order).limit(limit))

    async def _page_of_commands(self, wanted: Wanted, after: UUID, limit: int) -> Sequence[Any]:
        c = self._commands.c
        query = select(self._commands).where(
            *self._mine(self._commands), c.parked_at.is_not(None), c.id > after
        )
        if wanted.type is not None:
            query = query.where(c.type == wanted.type)
        return await self._rows(query.order_by(c.id).limit(limit))

    async def _find(self, id_: str) -> tuple[Row[Any], Parked]:
        is_item = ":" in id_
        rows = self._items if is_item else self._commands
        parked = rows.c.due_at.is_(None) if is_item else rows.c.parked_at.is_not(None)
        found = await self._rows(select(rows).where(*self._one(id_), parked))
        if not found:
            raise _no_such(id_)
        return found[0], (self._item if is_item else self._command)(found[0])

    def _one(self, id_: str) -> tuple[ColumnElement[bool], ...]:
        """The one row that *id_* stands for. Raises `NotFound` if it can stand for none."""
        subscription, colon, rest = id_.partition(":")
        try:
            if not colon:
                return *self._mine(self._commands), self._commands.c.id == UUID(id_)
            position, item = (int(part) for part in rest.split(":"))
        except ValueError:
            raise _no_such(id_) from None
        if not (0 <= position < 2**63 and 0 <= item < 2**31):
            raise _no_such(id_)
        c = self._items.c
        at = c.subscription == subscription, c.position == position, c.item == item
        return *self._mine(self._items), *at

    def _mine(self, rows: Table) -> tuple[ColumnElement[bool], ...]:
        return () if self._scope == ACROSS else (rows.c.tenant == self._scope,)

    async def _history(self, one: Parked) -> list[Act]:
        c = self._audit.c
        mine = c.tenant == one.tenant, c.subject == one.id, c.action == RETRIED
        rows = await self._rows(select(self._audit).where(*mine).order_by(c.number))
        return [Act(at=row.at, actor=row.actor, action=row.action) for row in rows]

    def _note(self, one: Parked, action: str, **detail: object) -> None:
        done = Audited(one.tenant, self._principal, action, one.id, detail)
        self._unit.audited.append(done)

    async def _rows(self, query: Executable) -> Sequence[Any]:
        rows: Sequence[Any] = (await self._execute(query)).all()
        return rows

    async def _execute(self, statement: Executable) -> Any:
        return await self._unit.execute(statement, None, self._scope)

    def _item(self, row: Any) -> Parked:
        return Parked(
            module=self._name,
            what="item",
            id=f"{row.subscription}:{row.position}:{row.item}",
            tenant=row.tenant,
            type=row.type,
            subject=row.subject,
            attempts=row.attempts,
            since=row.time,
            error=row.error,
        )

    def _command(self, row: Any) -> Parked:
        return Parked(
            module=self._name,
            what="command",
            id=str(row.id),
            tenant=row.tenant,
            type=row.type,
            subject="",
            attempts=row.attempts,
            since=row.parked_at,
            error=row.error,
        )


@asynccontextmanager
async def opened(host: Host, module: str, *, write: bool = True) -> AsyncIterator[ParkedThings]:
    """A module's, for the operator. Raises `NotFound` if it is not hosted here."""
    database = host.databases.get(module)
    if database is None:
        there = ", ".join(sorted(host.databases))
        raise NotFound(f"There is no module {module!r} here. There are: {there}.", field="module")
    async with database.unit(write=write) as unit:
        yield ParkedThings(database, unit)
    host.process.signals.wake(f"{module}.commands")


async def parked(host: Host, wanted: Wanted = EVERYTHING, limit: int = 100) -> list[Parked]:
    """The first *limit* of each module."""
    found: list[Parked] = []
    for module in host.databases:
        async with opened(host, module, write=False) as things:
            found += (await things.page(wanted, limit=limit)).data
    return found


async def retry(host: Host, module: str, id_: str) -> None:
    """Try the parked thing again, from now on. Raises `NotFound`, and `Conflict`."""
    async with opened(host, module) as things:
        await things.retry(id_)


def _at_item(row: Any) -> _Place:
    return _Place(row.subscription, row.position, row.item, FIRST_COMMAND)


def _key(id_: str) -> tuple[str, int, int]:
    """Of an item's *id_*."""
    subscription, position, item = id_.split(":")
    return subscription, int(position), int(item)


def _shown(data: bytes) -> object:
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        return data.decode(errors="replace")


def _no_such(id_: str) -> NotFound:
    return NotFound(f"Nothing is parked as {id_[:200]!r}; list the parked ones.", field="id")
