"""How many people, slot by slot.

The dates on which somebody was there are bits of a few words: ten million events become a row or a
few for each person, before merges are looked up and before anything is compared. (A year of ten
million events, by months: a third of what distinct pairs of slot and person take, in memory that
does not grow with the slots.)
"""

from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from duckdb import DuckDBPyConnection

from martech.modules.analytics.adapters import sql
from martech.modules.analytics.adapters.wall import rows
from martech.modules.analytics.domain import Series, Value

WORD: Final = 64
"""Bits of one: slots of a row."""


class _InHour(NamedTuple):
    key: datetime | None
    people: int


class _OnDate(NamedTuple):
    number: int | None
    people: int


def in_slots(connection: DuckDBPyConnection, tenant: UUID, asked: Series) -> list[Value]:
    """The people of each slot and, with the key None, of the whole."""
    if asked.calendar.interval == "hour":
        return _in_hours(connection, tenant, asked)
    return _on_dates(connection, tenant, asked)


def _in_hours(connection: DuckDBPyConnection, tenant: UUID, asked: Series) -> list[Value]:
    """Of most hours somebody is in few: pairs are fewer than bits."""
    bound: sql.Bound = {}
    query = f"""
        SELECT key, count(DISTINCT person) FROM (
            SELECT {sql.slot(asked.calendar, "events.timestamp")} AS key, {sql.PERSON} AS person
            FROM {sql.PEOPLE} WHERE {sql.among(asked.which, bound)}
            AND {sql.within(asked.calendar.span, "events.timestamp", bound)}
        )
        GROUP BY GROUPING SETS ((key), ())
    """
    return [Value(*row) for row in rows(connection, tenant, query, bound, _InHour)]


def _on_dates(connection: DuckDBPyConnection, tenant: UUID, asked: Series) -> list[Value]:
    bound: sql.Bound = {}
    slots = asked.calendar.slots()
    number = sql.number_of_date(asked.calendar, slots[0].key, "events.timestamp")
    query = f"""
        , seen AS (
            SELECT profile, number // {WORD} AS word,
                bit_or(CAST(1 AS UBIGINT) << CAST(number % {WORD} AS INTEGER)) AS bits
            FROM (
                SELECT events.profile, {number} AS number FROM events
                WHERE {sql.among(asked.which, bound)}
                AND {sql.within(asked.calendar.span, "events.timestamp", bound)}
            )
            GROUP BY profile, word
        ), people AS MATERIALIZED (
            SELECT coalesce(merges.kept, seen.profile) AS person, word, bit_or(bits) AS bits
            FROM seen LEFT JOIN merges ON merges.merged = seen.profile
            GROUP BY person, word
        )
        SELECT word * {WORD} + bit AS number, count(*)
        FROM people, (SELECT unnest(range({min(WORD, len(slots))})) AS bit)
        WHERE bits & (CAST(1 AS UBIGINT) << CAST(bit AS INTEGER)) <> 0
        GROUP BY number
        UNION ALL SELECT NULL, count(DISTINCT person) FROM people
    """
    return [
        Value(None if number is None else slots[number].key, people)
        for number, people in rows(connection, tenant, query, bound, _OnDate)
    ]
