"""What a module has said, in commit order, in its own schema: the durable half of the bus.

Positions are handed out under a lock held for the last moment of the publishing transaction,
so that a reader who has seen 7 will never later find a 6. That is what lets a cursor be one
number, and survive a dump and restore. (Without the lock 18-38 % of events were lost with
8-16 writers: a sequence hands out numbers before the commit.)
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import msgspec
from sqlalchemy import (
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Result,
    Select,
    String,
    Table,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from uuid_utils.compat import uuid7

from martech.kernel.columns import Id, Position, UtcDateTime, table, tenant_column
from martech.kernel.messages import Event, Folded, subject_of, upcasts, wire_name
from martech.kernel.telemetry import Carry, carried_on, current

COUNTED = 10_000
"""Events of a type that are counted by their items; more would hold up the loop."""

SOURCE = "/martech/"


class Origin(NamedTuple):
    """Why something happens: CloudEvents' correlation and causation, and the W3C trace."""

    correlation: UUID | None = None
    causation: UUID | None = None
    traceparent: str | None = None

    def here(self) -> "Origin":
        """The same, within what is being recorded."""
        trace = current.get()
        if trace is None or trace.recorder is None:
            return self
        return self._replace(traceparent=trace.traceparent)


class Told(NamedTuple):
    """An event on its way into the outbox."""

    tenant: UUID
    event: Event
    origin: Origin


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it stands in an outbox: the attributes of a CloudEvent 1.0, and a position."""

    position: int
    id: UUID
    source: str
    type: str
    tenant: UUID
    subject: str
    time: datetime
    data: msgspec.Raw
    items: int = 1
    correlationid: UUID | None = None
    causationid: UUID | None = None
    traceparent: str | None = None


def outbox_table(metadata: MetaData) -> Table:
    return Table(
        "outbox",
        metadata,
        Column("position", Position, Identity(), primary_key=True),
        Column("id", Id, nullable=False),
        tenant_column(),
        Column("type", String, nullable=False),
        Column("subject", String, nullable=False),
        Column("time", UtcDateTime, nullable=False),
        Column("items", Integer, nullable=False),
        Column("size", Integer, nullable=False),
        Column("correlation", Id),
        Column("causation", Id),
        Column("traceparent", String),
        Column("data", LargeBinary, nullable=False),
        Index(None, "type", "position"),
        Index(None, "tenant", "position"),
        sqlite_autoincrement=True,  # a position is never handed out twice, not even the last one
    )


class ToldTwice(RuntimeError):
    """A transaction tells a fact in two versions of which one is read as the other: whoever
    listens to the later one would hear it twice."""


def rows_of(told: Sequence[Told], now: datetime, carry: Carry = carried_on) -> list[dict[str, Any]]:
    """Encode events as rows of the outbox; *now* is the event time they share, *carry* says which
    ``traceparent`` goes with them."""
    _refuse_twins({type(event) for _, event, _ in told})
    rows = []
    for tenant, event, origin in told:
        data, kind = msgspec.json.encode(event), wire_name(type(event))
        rows.append(
            {
                "id": uuid7(),
                "tenant": tenant,
                "type": kind,
                "subject": subject_of(event),
                "time": now,
                "items": len(event.items) if isinstance(event, Folded) else 1,
                "size": len(data),
                "correlation": origin.correlation,
                "causation": origin.causation,
                "traceparent": carry(kind, origin.traceparent),
                "data": data,
            }
        )
    return rows


def _refuse_twins(told: set[type[Event]]) -> None:
    for event in told:
        if twins := told & {old for old, _ in upcasts(event)}:
            raise ToldTwice(
                f"{event.__name__} is told beside {twins.pop().__name__}, which is read as it. "
                f"Tell {event.__name__} alone, or take the upcaster away."
            )


class Publisher:
    """Writes what a transaction has told, as its last act."""

    async def lock(self, connection: AsyncConnection, metadata: MetaData) -> None:
        """Until the commit nobody else gets a position. On SQLite there is one writer anyway."""
        if connection.dialect.name == "postgresql":
            key = f"{metadata.schema}.outbox"
            await connection.execute(
                text("SELECT pg_advisory_xact_lock(hashtext(:key))"), {"key": key}
            )

    async def append(
        self, connection: AsyncConnection, metadata: MetaData, rows: Sequence[dict[str, Any]]
    ) -> None:
        await self.lock(connection, metadata)
        await connection.execute(insert(table(metadata, "outbox")), rows)
        if connection.dialect.name == "postgresql":
            await connection.execute(
                text("SELECT pg_notify(:channel, '')"), {"channel": f"martech_{metadata.schema}"}
            )


async def head(connection: AsyncConnection, metadata: MetaData, types: Sequence[str]) -> int:
    """The last position of any of *types*, 0 when there is none."""
    outbox = table(metadata, "outbox")
    newest = select(func.max(outbox.c.position)).where(outbox.c.type.in_(types))
    return (await connection.execute(newest)).scalar_one() or 0


async def last(connection: AsyncConnection, metadata: MetaData) -> int:
    """The last position of all, 0 when there is none."""
    newest = select(func.max(table(metadata, "outbox").c.position))
    return (await connection.execute(newest)).scalar_one() or 0


async def before(connection: AsyncConnection, metadata: MetaData, moment: datetime) -> int:
    """The position behind which everything stands that was told at *moment* or later."""
    outbox = table(metadata, "outbox")
    since = select(outbox.c.position).where(outbox.c.time >= moment)
    first = (await connection.execute(since.order_by(outbox.c.position).limit(1))).scalar()
    return await last(connection, metadata) if first is None else first - 1


async def told_at(connection: AsyncConnection, metadata: MetaData, position: int) -> UUID | None:
    """The id of the event at *position*, if there is one."""
    outbox = table(metadata, "outbox")
    found = await connection.execute(select(outbox.c.id).where(outbox.c.position == position))
    return found.scalar_one_or_none()


async def waiting(
    connection: AsyncConnection, metadata: MetaData, *, after: int, types: Sequence[str]
) -> int:
    """How many items of *types* stand behind position *after*. Of each type so many as `COUNTED`
    events have; what is behind those is taken for events of one item."""
    return sum([await _waiting(connection, table(metadata, "outbox"), after, t) for t in types])


async def _waiting(connection: AsyncConnection, outbox: Table, after: int, type_: str) -> int:
    position, items = outbox.c.position, outbox.c["items"]
    there = select(position, items).where(outbox.c.type == type_, position > after)
    nearest = there.order_by(position).limit(COUNTED).subquery()
    counts = select(func.count(), func.sum(nearest.c["items"]), func.max(nearest.c.position))
    events, found, reached = (await connection.execute(counts.select_from(nearest))).one()
    if events < COUNTED:
        return int(found or 0)
    last = select(func.max(position)).where(outbox.c.type == type_)
    return int(found + (await connection.execute(last)).scalar_one() - reached)


class Reader(Protocol):
    """The kernel's own connection over all tenants, or a transaction of one of them."""

    async def execute(self, statement: "Select[Any]", /) -> Result[Any]: ...


async def read(
    connection: Reader,
    metadata: MetaData,
    *,
    after: int,
    types: Sequence[str] | None,
    items: int = 500,
    size: int = 4_000_000,
    rows: int | None = None,
    tenant: UUID | None = None,
) -> list[Recorded]:
    """The events behind position *after*, oldest first, up to *items* items or *size* bytes, or
    *rows* events; those of *tenant*, or of all.

    There is at least one if there is any, however large. Sizes are looked at before bodies, so a
    long backlog of large events costs no memory.
    """
    outbox = table(metadata, "outbox")
    behind = [outbox.c.position > after]
    if types is not None:
        behind.append(outbox.c.type.in_(types))
    if tenant is not None:
        behind.append(outbox.c.tenant == tenant)
    sizes = await connection.execute(
        select(outbox.c.position, outbox.c["items"], outbox.c.size)
        .where(*behind)
        .order_by(outbox.c.position)
        .limit(items if rows is None else rows)
    )
    last = _within(sizes.all(), items, size)
    if last is None:
        return []
    found = await connection.execute(
        select(outbox).where(*behind, outbox.c.position <= last).order_by(outbox.c.position)
    )
    source = f"{SOURCE}{metadata.schema}"
    return [_recorded(row, source) for row in found]


def _within(sizes: Sequence[Any], items: int, size: int) -> int | None:
    """The last position up to which the sums stay within both limits; the first always does."""
    last = None
    for position, row_items, row_size in sizes:
        items, size = items - row_items, size - row_size
        if last is not None and (items < 0 or size < 0):
            break
        last = position
    return last


def _recorded(row: Any, source: str) -> Recorded:
    return Recorded(
        position=row.position,
        id=row.id,
        source=source,
        type=row.type,
        tenant=row.tenant,
        subject=row.subject,
        time=row.time,
        data=msgspec.Raw(row.data),
        items=row.items,
        correlationid=row.correlation,
        causationid=row.causation,
        traceparent=row.traceparent,
    )
