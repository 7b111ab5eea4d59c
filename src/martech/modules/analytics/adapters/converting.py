"""Conversions: what people did after a message, credited to the last one before it."""

from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple
from uuid import UUID

from duckdb import DuckDBPyConnection

from martech.modules.analytics.adapters import sql
from martech.modules.analytics.adapters.wall import rows
from martech.modules.analytics.domain import (
    Calendar,
    Conversion,
    Converted,
    ConvertedGroup,
    Outcome,
    Path,
    Span,
)

TOUCHES: Final = """
, touches AS (
    SELECT coalesce(merges.kept, messages.profile) AS person, messages.happened_at AS touched_at,
        messages.source, messages.message_id
    FROM messages LEFT JOIN merges ON merges.merged = messages.profile
    WHERE messages.kind = 'sent'
)
"""
LAST: Final = """
, recipients AS (
    SELECT DISTINCT person FROM touches WHERE source = $source
), last_touches AS (
    SELECT person, touched_at, arg_max(source, message_id) AS source
    FROM touches SEMI JOIN recipients USING (person) GROUP BY person, touched_at
)
"""
"""Of two messages in the same moment the one with the greater id is the later one."""


class _People(NamedTuple):
    people: int


class _Day(NamedTuple):
    key: datetime | None
    converted: int
    events: int
    total: Decimal


class _Group(NamedTuple):
    group: str | None
    converted: int
    events: int
    total: Decimal


NONE: Final = Converted(None, 0, 0, Decimal())


def conversions(
    connection: DuckDBPyConnection, tenant: UUID, asked: Conversion, calendar: Calendar | None
) -> Outcome:
    source = {"source": asked.source}
    recipients = f"{TOUCHES} SELECT count(DISTINCT person) FROM touches WHERE source = $source"
    ((people,),) = rows(connection, tenant, recipients, source, _People)
    if calendar is None:
        return Outcome(people, NONE, [], [])
    found = _days(connection, tenant, asked, calendar)
    whole = next(row for row in found if row.key is None)
    days = [row for row in found if row.key is not None]
    groups = _groups(connection, tenant, asked, calendar, asked.by) if asked.by else []
    return Outcome(people, whole, days, groups)


def _credited(asked: Conversion, span: Span, bound: sql.Bound) -> str:
    """The events that count, each once."""
    bound["source"], bound["within"] = asked.source, asked.within
    chosen = sql.among(asked.which, bound)
    inside = sql.within(span, "events.timestamp", bound)
    return f"""
        {TOUCHES} {LAST}, candidates AS (
            SELECT events.id, {sql.PERSON} AS person, events.timestamp, events.properties
            FROM {sql.PEOPLE} WHERE {chosen} AND {inside}
        ), credited AS (
            SELECT candidates.* FROM (SELECT * FROM candidates SEMI JOIN recipients USING (person))
                AS candidates
            ASOF JOIN last_touches ON last_touches.person = candidates.person
                AND candidates.timestamp >= last_touches.touched_at
            WHERE last_touches.source = $source
            AND candidates.timestamp < last_touches.touched_at + $within
        )
    """


def _days(
    connection: DuckDBPyConnection, tenant: UUID, asked: Conversion, calendar: Calendar
) -> list[Converted]:
    bound: sql.Bound = {}
    query = f"""
        {_credited(asked, calendar.span, bound)}
        SELECT key, count(DISTINCT person), count(*), coalesce(sum(value), 0) FROM (
            SELECT {sql.slot(calendar, "timestamp")} AS key, person,
                {sql.amount(asked.property, "property", bound)} AS value
            FROM credited
        )
        GROUP BY GROUPING SETS ((key), ())
    """
    return [Converted(*row) for row in rows(connection, tenant, query, bound, _Day)]


def _groups(
    connection: DuckDBPyConnection, tenant: UUID, asked: Conversion, calendar: Calendar, by: Path
) -> list[ConvertedGroup]:
    property, bound = asked.by_property, sql.Bound()
    group = sql.text(sql.scalar("line", by, "by", bound))
    if property is not None and property.lines == by.lines:
        value = f"sum({sql.number('line', property, 'property', bound)})"
    else:
        value = f"any_value({sql.amount(property, 'property', bound)})"
    query = f"""
        {_credited(asked, calendar.span, bound)}
        SELECT grp, count(DISTINCT person), count(*), coalesce(sum(value), 0) FROM (
            SELECT id, person, {group} AS grp, {value} AS value
            FROM ({sql.unnested(by, "SELECT * FROM credited", "lines", bound)})
            GROUP BY id, person, grp
        )
        GROUP BY grp ORDER BY 4 DESC, 3 DESC, grp NULLS LAST LIMIT $limit
    """
    found = rows(connection, tenant, query, {**bound, "limit": asked.limit}, _Group)
    return [ConvertedGroup(*row) for row in found]
