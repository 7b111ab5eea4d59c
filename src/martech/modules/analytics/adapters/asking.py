"""The questions, in SQL; `wall.rows` is the one place that reaches the tables."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, NamedTuple
from uuid import UUID

from duckdb import DuckDBPyConnection

from martech.modules.analytics.adapters import converting, grouping, people, sql
from martech.modules.analytics.adapters.engine import File
from martech.modules.analytics.adapters.wall import rows
from martech.modules.analytics.contract import Kept
from martech.modules.analytics.domain import (
    MOMENT,
    Breakdown,
    Calendar,
    Conversion,
    Groups,
    Happened,
    Kind,
    Messages,
    Named,
    Number,
    Outcome,
    Series,
    Span,
    Type,
    Value,
    Which,
)

FIRST_AND_LAST: Final = "SELECT min(happened_at), max(happened_at) FROM messages"


class _Ends(NamedTuple):
    first: datetime | None
    last: datetime | None


class _Kept(NamedTuple):
    events: int
    messages: int


class _Name(NamedTuple):
    type: Type
    event: str | None
    times: int
    first: datetime
    last: datetime


class _Value(NamedTuple):
    key: datetime | None
    value: Number


class _Happened(NamedTuple):
    key: datetime
    kind: Kind
    messages: int


class Asking:
    """The half of the `EventStore` that answers."""

    def __init__(self, file: File) -> None:
        self.file = file

    async def extent(self, tenant: UUID, which: Which) -> Span | None:
        bound: sql.Bound = {}
        query = f"SELECT min(timestamp), max(timestamp) FROM events WHERE {sql.among(which, bound)}"
        return await self._span(tenant, query, bound)

    async def sent(self, tenant: UUID, source: str) -> Span | None:
        query = f"{FIRST_AND_LAST} WHERE source = $source AND kind = 'sent'"
        return await self._span(tenant, query, {"source": source})

    async def told(self, tenant: UUID, source: str | None) -> Span | None:
        if source is None:
            return await self._span(tenant, FIRST_AND_LAST, {})
        return await self._span(
            tenant, f"{FIRST_AND_LAST} WHERE source = $source", {"source": source}
        )

    async def series(self, tenant: UUID, asked: Series) -> list[Value]:
        return await self.file.ask(tenant, lambda c: _series(c, tenant, asked))

    async def breakdown(self, tenant: UUID, asked: Breakdown) -> Groups:
        return await self.file.ask(tenant, lambda c: grouping.breakdown(c, tenant, asked))

    async def conversions(
        self, tenant: UUID, asked: Conversion, calendar: Calendar | None
    ) -> Outcome:
        return await self.file.ask(
            tenant, lambda c: converting.conversions(c, tenant, asked, calendar)
        )

    async def messages(self, tenant: UUID, asked: Messages) -> list[Happened]:
        return await self.file.ask(tenant, lambda c: _messages(c, tenant, asked))

    async def names(self, tenant: UUID, limit: int) -> list[Named]:
        query = """
            SELECT type, event, count(*), min(timestamp), max(timestamp) FROM events
            GROUP BY type, event ORDER BY count(*) DESC, type, event LIMIT $limit
        """
        found = await self.file.ask(
            tenant, lambda c: rows(c, tenant, query, {"limit": limit}, _Name)
        )
        return [
            Named(type_, event, count, _utc(first), _utc(last))
            for type_, event, count, first, last in found
        ]

    async def kept(self, tenant: UUID) -> Kept:
        query = """
            SELECT (SELECT count(*) FROM events), (SELECT count(DISTINCT message_id) FROM messages)
        """
        ((events, messages),) = await self.file.ask(
            tenant, lambda c: rows(c, tenant, query, {}, _Kept)
        )
        return Kept(events=events, messages=messages)

    async def _span(self, tenant: UUID, query: str, bound: Mapping[str, object]) -> Span | None:
        ((first, last),) = await self.file.ask(
            tenant, lambda c: rows(c, tenant, query, bound, _Ends)
        )
        return Span(_utc(first), _utc(last) + MOMENT) if first and last else None


def _series(connection: DuckDBPyConnection, tenant: UUID, asked: Series) -> list[Value]:
    if asked.measured.measure == "people":
        return people.in_slots(connection, tenant, asked)
    bound: sql.Bound = {}
    value = sql.amount(asked.measured.property, "property", bound)
    query = f"""
        SELECT key, {sql.measure(asked.measured, "value")} FROM (
            SELECT {sql.slot(asked.calendar, "events.timestamp")} AS key, {value} AS value
            FROM events WHERE {sql.among(asked.which, bound)}
            AND {sql.within(asked.calendar.span, "events.timestamp", bound)}
        )
        GROUP BY key
    """
    found = [Value(key, value) for key, value in rows(connection, tenant, query, bound, _Value)]
    found.append(Value(None, sum((each.value for each in found), Decimal())))
    return found


def _messages(connection: DuckDBPyConnection, tenant: UUID, asked: Messages) -> list[Happened]:
    bound: sql.Bound = {}
    of_source = ""
    if asked.source is not None:
        of_source, bound["source"] = "WHERE source = $source", asked.source
    query = f"""
        SELECT {sql.slot(asked.calendar, "first")} AS key, kind, count(*) FROM (
            SELECT kind, min(happened_at) AS first FROM messages {of_source}
            GROUP BY kind, message_id
        )
        WHERE {sql.within(asked.calendar.span, "first", bound)}
        GROUP BY ALL
    """
    return [Happened(*row) for row in rows(connection, tenant, query, bound, _Happened)]


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC)
