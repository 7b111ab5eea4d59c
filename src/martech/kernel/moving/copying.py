"""The rows of one table, from one database to the other, a page at a time.

Values pass through our own column types, so both databases are compared by what a module would
read from them. A digest is a sum of hashes of rows: the order in which a database gives them (text
and ids sort differently) does not matter.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    Row,
    Table,
    TableClause,
    column,
    delete,
    func,
    insert,
    select,
    text,
    tuple_,
)
from sqlalchemy import table as lightweight
from sqlalchemy.exc import DBAPIError, StatementError

from martech.kernel.db.engines import is_passing
from martech.kernel.errors import Conflict

PAGE = 200
"""Rows. A folded event may have a megabyte."""

MODULUS = 2**256
_json = msgspec.json.Encoder(order="deterministic")


class Digest(NamedTuple):
    rows: int = 0
    total: int = 0

    def and_of(self, page: Sequence[Row[Any]]) -> "Digest":
        total = sum(int.from_bytes(sha256(_framed(row)).digest()) for row in page)
        return Digest(self.rows + len(page), (self.total + total) % MODULUS)


def _framed(row: Row[Any]) -> bytes:
    """Each value behind its length and kind, so that none can lend to its neighbour."""
    parts = [_plain(value) for value in row]
    return b"".join(b"%b%d:%b," % (kind, len(value), value) for kind, value in parts)


def _plain(value: object) -> tuple[bytes, bytes]:
    match value:
        case None:
            return b"n", b""
        case bytes():
            return b"b", value
        case str():
            return b"s", value.encode()
        case UUID():
            return b"u", value.bytes
        case datetime():
            return b"t", value.astimezone(UTC).isoformat().encode()
        case _:
            return type(value).__name__.encode(), _json.encode(value)


def count(connection: Connection, table: Table) -> int:
    return int(connection.scalar(select(func.count()).select_from(table)) or 0)


def pages(connection: Connection, table: Table) -> Iterator[Sequence[Row[Any]]]:
    """All rows, in the order of their key."""
    key = list(table.primary_key.columns)
    query = select(table).order_by(*key).limit(PAGE)
    page = connection.execute(query).all()
    while page:
        yield page
        last = [page[-1]._mapping[column] for column in key]
        page = connection.execute(query.where(tuple_(*key) > tuple_(*last))).all()


def write(connection: Connection, table: Table, page: Sequence[Row[Any]]) -> None:
    try:
        connection.execute(insert(table), [dict(row._mapping) for row in page])
    except (DBAPIError, StatementError) as exc:
        if isinstance(exc, DBAPIError) and is_passing(exc):
            raise  # it is not the row
        cause = " ".join(str(exc.orig or exc).split())
        raise Conflict(
            f"A row of {table.fullname} cannot be kept there: {cause} Nothing was changed."
        ) from exc


def continue_numbers(source: Connection, target: Connection, table: Table) -> None:
    """Numbers that were ever handed out are not handed out again, by the new place either."""
    number = table.autoincrement_column
    if number is not None:
        last = max(_handed_out(source, table, number), _highest(target, number))
        _go_on_behind(target, table, number, last)


def _highest(connection: Connection, number: Column[Any]) -> int:
    return int(connection.scalar(select(func.max(number))) or 0)


def _handed_out(connection: Connection, table: Table, number: Column[Any]) -> int:
    if connection.dialect.name == "sqlite":  # counts only where it must not hand out again
        counters = _counters(table)
        counter = select(counters.c.seq).where(counters.c.name == table.name)
        return int(connection.scalar(counter) or 0)
    sequence = {"sequence": _sequence(connection, table, number)}
    last = text("SELECT pg_sequence_last_value(CAST(:sequence AS regclass))")
    return int(connection.scalar(last, sequence) or 0)


def _go_on_behind(connection: Connection, table: Table, number: Column[Any], last: int) -> None:
    if connection.dialect.name == "sqlite":
        counters = _counters(table)
        connection.execute(delete(counters).where(counters.c.name == table.name))
        connection.execute(insert(counters), [{"name": table.name, "seq": last}])
    elif last:
        sequence = {"sequence": _sequence(connection, table, number), "last": last}
        connection.execute(text("SELECT setval(CAST(:sequence AS regclass), :last)"), sequence)


def _counters(table: Table) -> TableClause:
    """SQLite's own."""
    return lightweight("sqlite_sequence", column("name"), column("seq"), schema=table.schema)


def _sequence(connection: Connection, table: Table, number: Column[Any]) -> str:
    names = {"table": f'"{table.schema}"."{table.name}"', "column": number.name}
    return str(connection.scalar(text("SELECT pg_get_serial_sequence(:table, :column)"), names))
