"""What is written to the event store: collected while a batch is heard, inserted at its end.

Rows travel as one JSON text a table, which DuckDB takes apart without the interpreter's lock. (500
events of 1.2 KB: 8 ms; `unnest` of Python lists 12 ms, all of it under the lock.)
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec
from duckdb import DuckDBPyConnection
from msgspec import Raw, Struct

from martech.modules.analytics.domain import MOMENT, Kind
from martech.modules.delivery.contract import Click, MessageFact
from martech.modules.profiles.contract import Activity, ProfilesMerged

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class _Event(Struct, gc=False):
    tenant: UUID
    profile: UUID
    identity_kind: str
    identity: str
    type: str
    event: str | None
    timestamp: int
    received_at: int
    message_id: str
    properties: Raw


class _Message(Struct, gc=False):
    tenant: UUID
    kind: str
    message_id: UUID
    send_id: UUID
    source: str
    occasion: str
    step: str
    channel: str
    profile: UUID
    happened_at: int
    url: str | None


class _Merge(Struct, gc=False):
    tenant: UUID
    merged: UUID
    told: UUID


TYPES: Final = {UUID: "UUID", str: "VARCHAR", str | None: "VARCHAR", int: "BIGINT", Raw: "JSON"}
TIMES: Final = {"timestamp", "received_at", "happened_at"}


def _insert(table: str, row: type[Struct], also: str = "") -> str:
    """*also* is a column that begins as a copy of another: ``kept = told``."""
    fields = msgspec.structs.fields(row)
    form = msgspec.json.encode([{f.name: TYPES[f.type] for f in fields}]).decode()
    values = {f.name: f"make_timestamp({f.name})" if f.name in TIMES else f.name for f in fields}
    if also:
        column, _, of = also.partition(" = ")
        values[column] = of
    return (
        f"INSERT INTO {table} ({', '.join(values)}, subscription, label) "
        f"SELECT {', '.join(values.values())}, $subscription, $label "
        f"FROM (SELECT unnest(from_json($rows, '{form}'), max_depth := 2))"
    )


INSERT: Final[dict[type[Struct], str]] = {
    _Event: _insert("events", _Event),
    _Message: _insert("messages", _Message),
    _Merge: _insert("merges", _Merge, "kept = told"),
}

FOLLOW = """
    UPDATE merges SET kept = next.kept FROM merges AS next
    WHERE next.tenant = merges.tenant AND next.merged = merges.kept
"""
"""One merge further; again until nothing changes, and each time it is twice as far."""

NEW = "AND {}.subscription = $subscription AND {}.label = $label"
FOLLOW_NEW = FOLLOW + NEW.format("merges", "merges")
LEAD = FOLLOW + NEW.format("next", "next")
"""Whoever was answered for by somebody that the new ones merge, once these lead to the end."""


LONGEST: Final = 2**40
"""More merges in a row than there are people."""


class Rows:
    """What one batch writes."""

    def __init__(self) -> None:
        self._rows: dict[type[Struct], list[Struct]] = {kind: [] for kind in INSERT}

    def keep_activities(self, tenant: UUID, activities: Sequence[Activity]) -> None:
        self._rows[_Event] += [
            _Event(
                tenant,
                a.profile_id,
                a.identity.kind,
                a.identity.value,
                a.type,
                a.event,
                _micros(a.timestamp),
                _micros(a.received_at),
                a.message_id,
                a.properties,
            )
            for a in activities
        ]

    def keep_merges(self, tenant: UUID, merges: Sequence[ProfilesMerged]) -> None:
        self._rows[_Merge] += [_Merge(tenant, m.merged, m.kept) for m in merges]

    def keep_messages(self, tenant: UUID, kind: Kind, facts: Sequence[MessageFact]) -> None:
        self._rows[_Message] += [
            _Message(
                tenant,
                kind,
                fact.message_id,
                fact.send_id,
                fact.source,
                fact.occasion,
                fact.step,
                fact.channel,
                fact.profile_id,
                _micros(fact.at),
                fact.url if isinstance(fact, Click) else None,
            )
            for fact in facts
        ]

    def insert(self, connection: DuckDBPyConnection, subscription: str, label: int) -> None:
        origin = {"subscription": subscription, "label": label}
        for kind, rows in self._rows.items():
            if rows:
                text = msgspec.json.encode(rows).decode()
                connection.execute(INSERT[kind], {"rows": text, **origin})
        if self._rows[_Merge]:
            _follow_on(connection, FOLLOW_NEW, origin)
            connection.execute(LEAD, origin)


def follow(connection: DuckDBPyConnection) -> None:
    """Have each merge lead to who answers today, of all that there are."""
    _follow_on(connection, FOLLOW, {})


def _follow_on(connection: DuckDBPyConnection, step: str, bound: Mapping[str, object]) -> None:
    for _ in range(LONGEST.bit_length()):
        if connection.execute(step, bound).fetchall() == [(0,)]:
            return
    raise ValueError("Merges go in a circle: somebody is merged into themselves.")


def _micros(at: datetime) -> int:
    return (at - EPOCH) // MOMENT
