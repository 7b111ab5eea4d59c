"""Breakdowns: groups by a property."""

from typing import NamedTuple
from uuid import UUID

from duckdb import DuckDBPyConnection

from martech.modules.analytics.adapters import sql
from martech.modules.analytics.adapters.wall import rows
from martech.modules.analytics.domain import Breakdown, Group, Groups, Number, Path


class _Group(NamedTuple):
    group: str | None
    value: Number
    groups: int
    total: Number


class _Whole(NamedTuple):
    value: Number


def breakdown(connection: DuckDBPyConnection, tenant: UUID, asked: Breakdown) -> Groups:
    bound: sql.Bound = {}
    query = f"""
        SELECT grp, value, count(*) OVER (), sum(value) OVER () FROM ({_grouped(asked, bound)})
        ORDER BY value DESC, grp NULLS LAST LIMIT $limit
    """
    found = rows(connection, tenant, query, {**bound, "limit": asked.limit}, _Group)
    total = found[0].total if found else 0
    if found and _overlap(asked):
        total = _whole(connection, tenant, asked)
    groups = found[0].groups if found else 0
    return Groups(total, groups, [Group(grp, value) for grp, value, *_ in found])


def _overlap(asked: Breakdown) -> bool:
    """Whether the whole is less than the sum of its groups."""
    if asked.measured.measure == "people":
        return True
    return bool(asked.by.lines) and not _line_by_line(asked.by, asked.measured.property)


def _line_by_line(by: Path, property: Path | None) -> bool:
    return property is not None and by.lines == property.lines


def _grouped(asked: Breakdown, bound: sql.Bound) -> str:
    measured, property = asked.measured, asked.measured.property
    scalar = sql.scalar("line", asked.by, "by", bound)
    lined = _lined(asked, bound)
    value = "value"
    if measured.measure == "sum" and property and _line_by_line(asked.by, property):
        value = sql.number("line", property, "property", bound)
    elif measured.measure == "people" or asked.by.lines:
        once = "DISTINCT id," if measured.measure != "people" else ""
        inner = f"SELECT {once} {sql.text(scalar)} AS grp, person, value FROM ({lined})"
        return f"SELECT grp, {sql.measure(measured, value)} AS value FROM ({inner}) GROUP BY grp"
    inner = f"""
        SELECT json, {sql.measure(measured, "value")} AS value
        FROM (SELECT {scalar} AS json, {value} AS value FROM ({lined})) GROUP BY json
    """  # to text only what is left of them
    return f"SELECT {sql.text('json')} AS grp, sum(value) AS value FROM ({inner}) GROUP BY grp"


def _lined(asked: Breakdown, bound: sql.Bound) -> str:
    """A row for each line of each event."""
    people = asked.measured.measure == "people"
    value = "NULL"
    if asked.measured.measure == "sum" and not _line_by_line(asked.by, asked.measured.property):
        value = sql.amount(asked.measured.property, "property", bound)
    events = f"""
        SELECT events.id, {sql.PERSON if people else "NULL"} AS person, {value} AS value, properties
        FROM {sql.PEOPLE if people else "events"} {_where(asked, bound)}
    """
    return sql.unnested(asked.by, events, "lines", bound)


def _whole(connection: DuckDBPyConnection, tenant: UUID, asked: Breakdown) -> Number:
    bound: sql.Bound = {}
    people = asked.measured.measure == "people"
    value = sql.amount(asked.measured.property, "property", bound)
    query = f"""
        SELECT {sql.measure(asked.measured, "value")} FROM (
            SELECT {sql.PERSON if people else "NULL"} AS person, {value} AS value
            FROM {sql.PEOPLE if people else "events"} {_where(asked, bound)}
        )
    """
    return rows(connection, tenant, query, bound, _Whole)[0].value


def _where(asked: Breakdown, bound: sql.Bound) -> str:
    chosen = sql.among(asked.which, bound)
    return f"WHERE {chosen} AND {sql.within(asked.span, 'events.timestamp', bound)}"
