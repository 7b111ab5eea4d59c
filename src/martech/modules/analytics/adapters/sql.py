"""Pieces of SQL. What comes from outside is never among them: it is bound by name.

Times, offsets and names of columns are ours; `properties` is checked JSON; a property's path is a
JSON pointer, bound.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from martech.modules.analytics.domain import Calendar, Measured, Path, Piece, Span, Which

Bound = dict[str, object]

PLAIN: Final = re.compile(r"[A-Za-z0-9_ -]+")
"""Names that mean nothing else in a JSONPath between quotes."""

GREATEST: Final = 10**12
NUMBER: Final = "DECIMAL(19, 6)"

PEOPLE: Final = "events LEFT JOIN merges ON merges.merged = events.profile"
PERSON: Final = "coalesce(merges.kept, events.profile)"


def naive(at: datetime) -> datetime:
    """As the store keeps it: UTC, without saying so."""
    return at.replace(tzinfo=None)


def slot(calendar: Calendar, column: str) -> str:
    """The key of the slot in which *column* lies."""
    pieces = calendar.pieces()
    if calendar.interval != "hour":
        return f"date_trunc('{calendar.interval}', {_in_days(column, pieces)})"
    local = f"date_trunc('hour', {_local(column, pieces)})"
    if _in_utc(pieces):
        return local
    offset = _offset(column, pieces)
    begins = ["TIMESTAMP '0001-01-01'", *(_literal(piece.since) for piece in pieces[1:])]
    return f"greatest({local} - {offset}, {_by_piece(column, pieces, begins)})"


def number_of_date(calendar: Calendar, first: datetime, column: str) -> str:
    """The number of the day, week or month in which *column* lies, counted from 0 at the slot whose
    key is *first*."""
    local = _in_days(column, calendar.pieces())
    unit = "month" if calendar.interval == "month" else "day"
    number = f"date_diff('{unit}', {_literal(first)}, {local})"
    return f"{number} // 7" if calendar.interval == "week" else number


def among(which: Which, bound: Bound) -> str:
    """The condition for events of one kind; puts what it needs into *bound*."""
    bound["type"] = which.type
    if which.event is None:
        return "events.type = $type"
    bound["event"] = which.event
    return "events.type = $type AND events.event = $event"


def within(span: Span, column: str, bound: Bound) -> str:
    bound["begin"], bound["end"] = naive(span.since), naive(span.until)
    return f"{column} >= $begin AND {column} < $end"


def lines(path: Path, name: str, bound: Bound) -> str:
    """The list of lines of an event, as JSON; of one that has none a line of nothing."""
    if not path.lines:
        return "[properties]"
    bound[name] = path.lines
    at = f"json_extract(properties, ${name})"
    return f"CASE WHEN json_array_length({at}) > 0 THEN CAST({at} AS JSON[]) ELSE {_one(at)} END"


def unnested(path: Path, rows: str, name: str, bound: Bound) -> str:
    """*rows*, a SELECT with ``properties``, with each ``line`` of each event."""
    if not path.lines:
        return f"SELECT *, properties AS line FROM ({rows})"
    bound[name] = path.lines
    at = f"json_extract(properties, ${name})"
    if all(PLAIN.fullmatch(part) for part in path.names):  # the same in half the time
        bound[f"{name}_each"] = "$" + "".join(f'."{part}"' for part in path.names[:-1]) + "[*]"
        each = f"json_extract(properties, ${name}_each)"
    else:
        each = f"TRY_CAST({at} AS JSON[])"
    return f"""
        SELECT *, unnest(CASE WHEN len(each) > 0 THEN each ELSE {_one(at)} END) AS line
        FROM (SELECT *, {each} AS each FROM ({rows}))
    """


def _one(at: str) -> str:
    """The one line of what is no list, or nothing of an empty one."""
    return f"CASE WHEN json_type({at}) = 'ARRAY' THEN [NULL] ELSE [{at}] END"


def number(line: str, path: Path, name: str, bound: Bound) -> str:
    """The JSON number in a line, or NULL: a text is none, though it may look like one, and one
    beyond `GREATEST` adds nothing, as in segments."""
    bound[name] = path.leaf
    value = f"TRY_CAST(CAST(json_extract({line}, ${name}) AS VARCHAR) AS {NUMBER})"
    return f"CASE WHEN {value} BETWEEN -{GREATEST} AND {GREATEST} THEN {value} END"


def scalar(line: str, path: Path, name: str, bound: Bound) -> str:
    """The scalar in a line as JSON, or NULL. The same text may be written in several ways."""
    bound[name] = path.leaf
    return f"json_value({line}, ${name})"


def text(json: str) -> str:
    """What a scalar says: ``"a"`` says a, 5 and ``"5"`` say 5."""
    return f"json_extract_string({json}, '$')"


def amount(path: Path | None, name: str, bound: Bound) -> str:
    """What a property of an event adds up to, or NULL."""
    if path is None:
        return f"CAST(0 AS {NUMBER})"
    if not path.lines:
        return number("properties", path, name, bound)
    each = number("line", path, name, bound)
    return f"list_sum(list_transform({lines(path, f'{name}_lines', bound)}, lambda line: {each}))"


def measure(measured: Measured, value: str) -> str:
    """The aggregate, over rows that have ``person`` if people are counted."""
    match measured.measure:
        case "count":
            return "count(*)"
        case "people":
            return "count(DISTINCT person)"
        case "sum":
            return f"coalesce(sum({value}), 0)"


def _in_utc(pieces: Sequence[Piece]) -> bool:
    return len(pieces) == 1 and pieces[0].seconds == 0


def _local(column: str, pieces: Sequence[Piece]) -> str:
    """What clocks showed."""
    return column if _in_utc(pieces) else f"({column} + {_offset(column, pieces)})"


def _in_days(column: str, pieces: Sequence[Piece]) -> str:
    """What clocks showed, but never a day earlier than one that had begun."""
    local = _local(column, pieces)
    if not any(piece.falls_back for piece in pieces):
        return local
    days = [f"TIMESTAMP '{piece.day}'" for piece in pieces]
    return f"greatest({local}, {_by_piece(column, pieces, days)})"


def _offset(column: str, pieces: Sequence[Piece]) -> str:
    return f"to_seconds({_by_piece(column, pieces, [str(p.seconds) for p in pieces])})"


def _by_piece(column: str, pieces: Sequence[Piece], values: Sequence[str]) -> str:
    if len(values) == 1:
        return values[0]
    ends = [_literal(piece.since) for piece in pieces[1:]]
    cases = " ".join(
        f"WHEN {column} < {end} THEN {value}" for end, value in zip(ends, values, strict=False)
    )
    return f"CASE {cases} ELSE {values[-1]} END"


def _literal(at: datetime) -> str:
    return f"TIMESTAMP '{naive(at).isoformat(' ')}'"
