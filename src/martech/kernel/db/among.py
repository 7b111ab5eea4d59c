"""Rows by a list of keys, found through the index on both databases.

PostgreSQL guesses how many rows each condition leaves. Of a table that it has not analysed yet it
guesses wrong, and then reads all rows of a tenant to find 500 of them: measured at 100,000 rows,
939 µs a key instead of 7, until autovacuum comes by. A LATERAL subquery that cannot be flattened
(OFFSET 0) leaves it no choice but to look up one key after the other. Ask for one table at a time:
how to join is decided once for each connection, perhaps while the tables were empty.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, column, func, select, true
from sqlalchemy.dialects import postgresql

KEYS = 500  # at a time


def among(
    statement: Select[*tuple[Any, ...]],
    key: ColumnElement[Any],
    values: Sequence[object],
    dialect: str,
    most: int | None = None,
) -> Select[*tuple[Any, ...]]:
    """*statement* for those rows whose *key* is one of *values*, at most `KEYS` of them; no more
    rows than *most*. A limit of its own would hold for all keys on one database and for each on the
    other: it is refused."""
    if statement._limit_clause is not None or statement._offset_clause is not None:
        raise ValueError("A statement among keys has no limit of its own. Say the most of all.")
    return _of_keys(statement, key, values, dialect).limit(most)


def _of_keys(
    statement: Select[*tuple[Any, ...]],
    key: ColumnElement[Any],
    values: Sequence[object],
    dialect: str,
) -> Select[*tuple[Any, ...]]:
    if dialect != "postgresql":
        return statement.where(key.in_(_padded(values)))
    wanted = bindparam("wanted", values, postgresql.ARRAY(key.type))
    each = func.unnest(wanted).table_valued(column("value", key.type), name="each").render_derived()
    found = statement.where(key == each.c.value).offset(0).lateral("found")
    return select(*found.c).select_from(each).join(found, true())


def _padded(values: Sequence[object]) -> list[object]:
    """*values*, the first repeated up to a power of two: few different statements to prepare."""
    missing = (1 << (len(values) - 1).bit_length()) - len(values)
    return [*values, *(values[0] for _ in range(missing))]
