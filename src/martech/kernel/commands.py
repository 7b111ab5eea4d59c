"""Things to be done: one row a command, in the schema of the module that will do it.

    recorded ──▶ due ──▶ sent ──▶ leased ──▶ done
                  ▲                 │  └───▶ parked    after the last attempt, for a person to see
                  └── backoff ──────┘

A lease that runs out is an attempt too: a command that kills whoever carries it out would else kill
them all, for ever. (Unless it came further than the one before: a send goes on after any number of
kills.)
The row is the record; a broker only carries its id and may forget it. A timer is a command with
a later `due_at`. A lease carries a fence, one higher each time: whoever was taken over holds an
old fence and can neither settle nor commit anything.
"""

import logging
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    CursorResult,
    Executable,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    and_,
    case,
    delete,
    func,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from uuid_utils.compat import uuid7

from martech.kernel.columns import Id, UtcDateTime, Words, tenant_column
from martech.kernel.errors import Conflict, NotFound
from martech.kernel.messages import Command, wire_name
from martech.kernel.outbox import Origin
from martech.kernel.telemetry import Carry, carried_on

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
"""How long a command belongs to whoever took it, unless they renew; then it is taken over."""

RESEND = timedelta(seconds=30)
"""How long a broker may take to bring a command before we assume that it forgot."""

ATTEMPTS = 8
"""Failures after which a command is parked; that whoever had it was never heard of again is one."""

LOST = (
    "Whoever carried it out was not heard of again: the process was killed, or ran out of memory. "
    "See its log, and what the command needs, before you have it tried again."
)

KEPT = timedelta(days=7)
"""How long a done command can still be looked at."""


class Enqueued(NamedTuple):
    """A command on its way into the table."""

    tenant: UUID
    command: Command
    at: datetime
    key: str | None
    origin: Origin = Origin()


class Lease(NamedTuple):
    """A command in the hands of one holder."""

    id: UUID
    tenant: UUID
    type: str
    data: bytes
    attempts: int
    fence: int
    origin: Origin = Origin()


class Stale(Exception):
    """The lease ran out and somebody else took over: nothing done under it may be committed."""


class Unit(Protocol):
    """A unit of work of the kernel's, over all tenants (`db.Unit`)."""

    @property
    def now(self) -> datetime: ...

    async def across(
        self, statement: Executable, rows: Sequence[Any] | None = None
    ) -> "CursorResult[Any]": ...


def commands_table(metadata: MetaData) -> Table:
    table = Table(
        "commands",
        metadata,
        Column("id", Id, primary_key=True),
        tenant_column(),
        Column("type", String, nullable=False),
        Column("data", LargeBinary, nullable=False),
        Column("key", String),
        Column("correlation", Id),
        Column("causation", Id),
        Column("traceparent", String),
        Column("due_at", UtcDateTime, nullable=False),
        Column("again_at", UtcDateTime),  # asked for once more while it was being carried out
        Column("attempts", Integer, nullable=False, default=0),
        Column("sent_at", UtcDateTime),
        Column("lease_until", UtcDateTime),
        Column("fence", Integer, nullable=False, default=0),
        Column("done_at", UtcDateTime),
        Column("parked_at", UtcDateTime),
        Column("error", Words),
    )
    only = _open(table)
    Index(None, table.c.due_at, sqlite_where=only, postgresql_where=only)
    Index(
        None,
        *(table.c.tenant, table.c.type, table.c.key),
        unique=True,
        sqlite_where=only,
        postgresql_where=only,
    )
    Index(None, table.c.done_at)
    sent = table.c.sent_at.is_not(None)
    Index(None, table.c.sent_at, sqlite_where=sent, postgresql_where=sent)
    return table


async def record(
    connection: AsyncConnection,
    metadata: MetaData,
    enqueued: Sequence[Enqueued],
    now: datetime,
    *,
    replaying: bool = False,
    inward: Collection[type[Command]] = (),
    carry: Carry = carried_on,
) -> int:
    """Write *enqueued* in the transaction that asked for it; return how many were dropped.

    A command whose key is open already is not written again, but comes earlier if it is asked for
    an earlier time; if it is being carried out at this moment it may have missed what this
    transaction changes, so it will run once more.
    While *replaying*, only *inward* commands are written: a replay has no effect outside. *carry*
    says which ``traceparent`` goes with them.
    """
    kept = [e for e in enqueued if not replaying or type(e.command) in inward]
    if kept:
        table = metadata.tables[f"{metadata.schema}.commands"]
        rows = [
            {
                "id": uuid7(),
                "tenant": e.tenant,
                "type": wire_name(type(e.command)),
                "data": msgspec.json.encode(e.command),
                "key": e.key,
                "correlation": e.origin.correlation,
                "causation": e.origin.causation,
                "traceparent": carry(wire_name(type(e.command)), e.origin.traceparent),
                "due_at": e.at,
            }
            for e in kept
        ]
        on = postgresql if connection.dialect.name == "postgresql" else sqlite
        await connection.execute(_insert_or_ask_again(table, on.insert(table)), rows)
    return len(enqueued) - len(kept)


async def take_over(connection: AsyncConnection, metadata: MetaData, theirs: Table) -> None:
    """Write the rows of *theirs*, as `record` would have written them."""
    table = metadata.tables[f"{metadata.schema}.commands"]
    on = postgresql if connection.dialect.name == "postgresql" else sqlite
    rows = select(theirs).where(true())  # without a condition SQLite takes ON for that of a join
    copied = on.insert(table).from_select([column.name for column in table.c], rows)
    await connection.execute(_insert_or_ask_again(table, copied))


class Commands:
    """One module's commands: who may carry out which, and what became of it.

    Every method runs in a unit of work that the caller opened and commits.
    """

    def __init__(self, metadata: MetaData, resend: timedelta = RESEND) -> None:
        self.table = metadata.tables[f"{metadata.schema}.commands"]
        self.open = _open(self.table)
        self.resend = resend

    async def next_due(self, unit: Unit) -> datetime | None:
        """When the next command is to be handed out, now or later; None if there is none."""
        c = self.table.c
        free = select(c.due_at).where(self._free(unit.now)).order_by(c.due_at).limit(1)
        moment: datetime | None = (await unit.across(free)).scalar_one_or_none()
        return moment

    async def due(self, unit: Unit, window: int) -> list[UUID]:
        """Commands for the broker, oldest first, noted as sent; so many that *window* are on
        their way. One that is on its way is not among them until *resend* has passed."""
        c, now = self.table.c, unit.now
        on_their_way = await unit.across(select(func.count()).where(c.sent_at > now - self.resend))
        waiting = (
            select(c.id)
            .where(self._free(now), c.due_at <= now)
            .order_by(c.due_at, c.id)
            .limit(max(0, window - on_their_way.scalar_one()))
            .with_for_update(skip_locked=True)
        )
        sent = update(self.table).where(c.id.in_(waiting)).values(sent_at=now)
        rows = (await unit.across(sent.returning(c.due_at, c.id))).all()
        return [id_ for _, id_ in sorted((row.due_at, row.id) for row in rows)]

    async def recall(self, unit: Unit, ids: Sequence[UUID] | None = None) -> None:
        """Take back that they were sent, or that any was."""
        which = self.table.c.sent_at.is_not(None) if ids is None else self.table.c.id.in_(ids)
        await unit.across(update(self.table).where(which).values(sent_at=None))

    async def lease(self, unit: Unit, id_: UUID, length: timedelta = LEASE) -> Lease | None:
        """Take the command for *length*; None if it is done, parked, not due or in other hands.

        Of one that is taken over an attempt is counted (unless it was asked for again meanwhile);
        after the last it is parked.
        """
        c = self.table.c
        free = or_(c.lease_until.is_(None), c.lease_until <= unit.now)
        anew, lost = c.again_at.is_not(None), c.lease_until.is_not(None)
        last = and_(~anew, lost, c.attempts + 1 >= ATTEMPTS)
        taken = await unit.across(
            update(self.table)
            .where(c.id == id_, self.open, c.due_at <= unit.now, free)
            .values(
                fence=c.fence + 1,
                attempts=case((anew, 0), (lost, c.attempts + 1), else_=c.attempts),
                error=case((last, LOST), else_=c.error),
                lease_until=case((last, None), else_=unit.now + length),
                parked_at=case((last, unit.now)),
                sent_at=None,
                again_at=None,
            )
            .returning(self.table)
        )
        row = taken.one_or_none()
        if row is None:
            return None
        if row.parked_at is not None:
            log.error("%s: parked %s: %s", self.table.schema, id_, LOST)
            return None
        # what the job tells and enqueues was caused by this command
        origin = Origin(row.correlation or row.id, row.id, row.traceparent)
        return Lease(row.id, row.tenant, row.type, row.data, row.attempts, row.fence, origin)

    async def renew(self, unit: Unit, lease: Lease, length: timedelta = LEASE) -> None:
        """Hold on to the command for another *length*. Raises `Stale`."""
        await self._change(unit, lease, lease_until=unit.now + length)

    async def holds(self, unit: Unit, lease: Lease) -> None:
        """Raise `Stale` unless the lease holds, and let nobody take over before the commit. What is
        committed is progress: whoever dies after it has not been killed by what is done now."""
        if lease.attempts:
            await self._change(unit, lease, attempts=0)
            return
        mine = select(self.table.c.id).where(self._held(lease)).with_for_update(read=True)
        if (await unit.across(mine)).one_or_none() is None:
            raise Stale(f"The command {lease.id} was taken over.")

    async def settle(self, unit: Unit, lease: Lease) -> None:
        """It is done (or, if it was asked for again meanwhile, due again). Raises `Stale`."""
        c = self.table.c
        await self._change(
            unit,
            lease,
            done_at=case((c.again_at.is_(None), unit.now)),
            due_at=func.coalesce(c.again_at, c.due_at),
            attempts=0,
            **RELEASED,
        )

    async def fail(self, unit: Unit, lease: Lease, error: str) -> bool:
        """Note the failure; try again later, or park after the last attempt. Raises `Stale`.

        If it was asked for again meanwhile, it has all its attempts before it. Returns whether it
        was parked.
        """
        c = self.table.c
        attempts = lease.attempts + 1
        last, then = attempts >= ATTEMPTS, unit.now + backoff(attempts, lease.id)
        changed = await self._change(
            unit,
            lease,
            attempts=case((c.again_at.is_(None), attempts), else_=0),
            error=error,
            parked_at=case((c.again_at.is_(None), unit.now)) if last else None,
            due_at=case((c.again_at < then, c.again_at), else_=then),
            **RELEASED,
        )
        return changed.parked_at is not None

    async def postpone(self, unit: Unit, lease: Lease, error: str, by: timedelta) -> None:
        """Something it needs is away: later, and no attempt is counted. Raises `Stale`."""
        await self._change(unit, lease, error=error, due_at=unit.now + by, **RELEASED)

    async def parked(self, unit: Unit, limit: int = 100) -> Sequence[Any]:
        """Rows that failed to the end, the longest waiting first."""
        c = self.table.c
        found = await unit.across(
            select(c.id, c.tenant, c.type, c.data, c.attempts, c.parked_at, c.error)
            .where(c.parked_at.is_not(None))
            .order_by(c.parked_at, c.id)
            .limit(limit)
        )
        return found.all()

    async def retry(self, unit: Unit, id_: UUID) -> None:
        """Give a parked command all its attempts again, now."""
        c = self.table.c
        again = update(self.table).where(c.id == id_, c.parked_at.is_not(None))
        try:
            found = await unit.across(
                again.values(parked_at=None, attempts=0, due_at=unit.now).returning(c.id)
            )
        except IntegrityError:
            raise Conflict("A newer command with the same key is open; let it finish.") from None
        if found.one_or_none() is None:
            raise NotFound(f"There is no parked command {id_}; list the parked ones.")

    async def forget(self, unit: Unit, limit: int = 1000) -> bool:
        """Remove up to *limit* commands that have been done for `KEPT`; True if so many were."""
        old = select(self.table.c.id).where(self.table.c.done_at < unit.now - KEPT).limit(limit)
        gone = await unit.across(delete(self.table).where(self.table.c.id.in_(old)))
        return gone.rowcount >= limit

    def _free(self, now: datetime) -> ColumnElement[bool]:
        """Open, in nobody's hands, and not on its way."""
        c = self.table.c
        return and_(
            self.open,
            or_(c.lease_until.is_(None), c.lease_until <= now),
            or_(c.sent_at.is_(None), c.sent_at <= now - self.resend),
        )

    def _held(self, lease: Lease) -> ColumnElement[bool]:
        c = self.table.c
        return and_(c.id == lease.id, c.fence == lease.fence, c.lease_until.is_not(None), self.open)

    async def _change(self, unit: Unit, lease: Lease, **values: Any) -> Row[Any]:
        changing = update(self.table).where(self._held(lease)).values(**values)
        changed = await unit.across(changing.returning(self.table.c.parked_at))
        row = changed.one_or_none()
        if row is None:
            raise Stale(f"The command {lease.id} was taken over.")
        return row


RELEASED: dict[str, None] = {"lease_until": None, "sent_at": None, "again_at": None}


def backoff(attempts: int, id_: UUID) -> timedelta:
    """2, 4, 8 … seconds, up to an hour, and up to a quarter more, so that many do not meet."""
    return timedelta(seconds=min(2**attempts, 3600) * (1 + id_.int % 251 / 1000))


def _open(table: Table) -> ColumnElement[bool]:
    """What the partial indexes cover."""
    return and_(table.c.done_at.is_(None), table.c.parked_at.is_(None))


def _insert_or_ask_again(
    table: Table, insert: "postgresql.Insert | sqlite.Insert"
) -> "postgresql.Insert | sqlite.Insert":
    c, asked = table.c, insert.excluded.due_at
    running = c.lease_until.is_not(None)
    return insert.on_conflict_do_update(
        index_elements=["tenant", "type", "key"],
        index_where=_open(table),
        set_={
            "again_at": case(
                (and_(running, or_(c.again_at.is_(None), asked < c.again_at)), asked),
                else_=c.again_at,
            ),
            "due_at": case((and_(~running, asked < c.due_at), asked), else_=c.due_at),
        },
    )
