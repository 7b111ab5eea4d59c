"""The table, and how a command comes into it: once for each key that is open."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
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
    String,
    Table,
    and_,
    case,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from uuid_utils.compat import uuid7

from martech.kernel.columns import Id, UtcDateTime, Words, tenant_column
from martech.kernel.messages import Command, wire_name
from martech.kernel.outbox import Origin
from martech.kernel.telemetry import Carry, carried_on


class Enqueued(NamedTuple):
    """A command on its way into the table."""

    tenant: UUID
    command: Command
    at: datetime
    key: str | None
    origin: Origin = Origin()


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
        Column("again_at", UtcDateTime),  # asked for once more while it was carried out, and owed
        Column("attempts", Integer, nullable=False, default=0),
        Column("sent_at", UtcDateTime),
        Column("lease_until", UtcDateTime),
        Column("fence", Integer, nullable=False, default=0),
        Column("done_at", UtcDateTime),
        Column("parked_at", UtcDateTime),
        Column("error", Words),
    )
    c, only, one = table.c, is_open(table), _one_a_key(table)
    for oldest in ((c.due_at, c.id), (c.tenant, c.due_at, c.id)):
        Index(None, *oldest, sqlite_where=only, postgresql_where=only)
    named = c.tenant, c.type, c.key
    Index(None, *named, unique=True, sqlite_where=one, postgresql_where=one)
    for when in (c.done_at, c.sent_at):  # nobody looks there for what has not been
        there = when.is_not(None)
        Index(None, when, sqlite_where=there, postgresql_where=there)
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
        rows.sort(key=_in_one_order)
        await connection.execute(_insert_or_ask_again(table, on.insert(table)), rows)
    return len(enqueued) - len(kept)


def _in_one_order(row: Mapping[str, Any]) -> tuple[UUID, str, str]:
    """Two who ask for the same keys then never wait for each other."""
    return row["tenant"], row["type"], row["key"] or ""


async def take_over(connection: AsyncConnection, metadata: MetaData, theirs: Table) -> None:
    """Write the rows of *theirs*, as `record` would have written them."""
    table = metadata.tables[f"{metadata.schema}.commands"]
    on = postgresql if connection.dialect.name == "postgresql" else sqlite
    rows = select(theirs).where(true())  # without a condition SQLite takes ON for that of a join
    copied = on.insert(table).from_select([column.name for column in table.c], rows)
    await connection.execute(_insert_or_ask_again(table, copied))


def is_open(table: Table) -> ColumnElement[bool]:
    """For who looks for the oldest. It says what the two below say, each in words of its own: what
    PostgreSQL takes for an empty partial index, for so it was when last counted, looks cheaper to
    it than the right one. (With 300,000 commands in it each cost 140 ms.)"""
    return func.coalesce(table.c.done_at, table.c.parked_at).is_(None)


def is_unfinished(table: Table) -> ColumnElement[bool]:
    """For who has ids: no partial index covers that."""
    return func.coalesce(table.c.parked_at, table.c.done_at).is_(None)


def _one_a_key(table: Table) -> ColumnElement[bool]:
    """Of what the keys are unique."""
    return and_(table.c.done_at.is_(None), table.c.parked_at.is_(None))


def _insert_or_ask_again(
    table: Table, insert: "postgresql.Insert | sqlite.Insert"
) -> "postgresql.Insert | sqlite.Insert":
    c, asked = table.c, insert.excluded.due_at
    running = c.lease_until.is_not(None)
    return insert.on_conflict_do_update(
        index_elements=["tenant", "type", "key"],
        index_where=_one_a_key(table),
        set_={
            "again_at": case(
                (and_(running, or_(c.again_at.is_(None), asked < c.again_at)), asked),
                else_=c.again_at,
            ),
            "due_at": case((and_(~running, asked < c.due_at), asked), else_=c.due_at),
        },
    )
