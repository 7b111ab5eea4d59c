"""Many rows written by one statement.

SQLAlchemy looks at each value of each row, and both drivers then run the statement once a row:
on PostgreSQL a message to the server and back for each, on SQLite a chance for each that another
thread takes the interpreter. Here a statement is made once and its values go by column: to
PostgreSQL as arrays that it takes apart, to SQLite as many rows of VALUES.
"""

from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Column, LargeBinary, Table, bindparam, column, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncConnection

from martech.kernel.tenancy import Rows

STEPS = tuple(2**n for n in reversed(range(9)))
"""Rows of one statement on SQLite: few different statements, each prepared once a connection."""

Process = Callable[[Any], Any]
_row_of: Callable[[str, Sequence[str]], Callable[..., Any]] = namedtuple  # noqa: PYI024 - fields that are told later


class Conflict(NamedTuple):
    """What becomes of a row that is there already. Without keys it stays as it is."""

    keys: tuple[str, ...] = ()
    update: tuple[str, ...] = ()
    """Columns that are set."""

    add: tuple[str, ...] = ()
    """Columns that are increased."""


class Insertion(NamedTuple):
    table: Table
    names: tuple[str, ...]
    conflict: Conflict | None = None
    """None if there is none: it would be an error."""

    returning: tuple[str, ...] = ()


async def insert(connection: AsyncConnection, asked: Insertion, rows: Rows) -> Sequence[Any]:
    """What is to be returned of the rows that were written, in no order. No two of *rows* may
    have the same key, if what is there is to be changed."""
    if any(len(row) != len(asked.names) for row in rows):
        raise ValueError(f"Not all rows for {asked.table} name the same columns.")
    columns = {name: [row[name] for row in rows] for name in asked.names}
    if connection.dialect.name == "postgresql":
        result = await connection.execute(_from_arrays(asked), columns)
        return result.all() if asked.returning else ()
    made = _values(asked, connection.dialect)
    found: list[Any] = []
    for statement, values in made.statements(columns):
        result = await connection.exec_driver_sql(statement, values)
        if asked.returning:
            found += map(made.row, result.all())
    return found


@lru_cache(maxsize=256)
def _from_arrays(asked: Insertion) -> Any:
    types = {name: asked.table.c[name].type for name in asked.names}
    arrays = [bindparam(name, type_=postgresql.ARRAY(kind)) for name, kind in types.items()]
    given = func.unnest(*arrays).table_valued(*(column(name, kind) for name, kind in types.items()))
    rows = select(*given.render_derived(name="given").c)
    empty = postgresql.insert(asked.table).from_select(list(asked.names), rows)
    return _settled(empty, asked)


class _Values:
    """An insertion as SQLite is told of it."""

    def __init__(self, asked: Insertion, dialect: Dialect) -> None:
        compiled = _settled(sqlite.insert(asked.table), asked).compile(
            dialect=dialect, column_keys=list(asked.names)
        )
        self._names: Sequence[str] = compiled.positiontup or ()
        self._processes = [_written(asked.table.c[name], dialect) for name in self._names]
        self._read = [_read(asked.table.c[name], dialect) for name in asked.returning]
        one = f"({', '.join('?' * len(self._names))})"
        begin, end = str(compiled).split(one)
        self._statements = {n: f"{begin}{', '.join([one] * n)}{end}" for n in STEPS}
        self._row = _row_of("Written", asked.returning)

    def statements(self, columns: dict[str, list[Any]]) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Statements with their parameters, that together write all rows."""
        rows = list(zip(*self._processed(columns), strict=True))
        at = 0
        for step in STEPS:
            while at + step <= len(rows):
                yield self._statements[step], tuple(chain.from_iterable(rows[at : at + step]))
                at += step

    def row(self, found: Sequence[Any]) -> Any:
        """What was returned, as the types of its columns say."""
        return self._row(
            *(read(value) if read else value for read, value in zip(self._read, found, strict=True))
        )

    def _processed(self, columns: dict[str, list[Any]]) -> Iterator[list[Any]]:
        for name, process in zip(self._names, self._processes, strict=True):
            values = columns[name]
            yield list(map(process, values)) if process else values


_values = lru_cache(maxsize=256)(_Values)


def _settled(statement: Any, asked: Insertion) -> Any:
    if (conflict := asked.conflict) is not None:
        new = statement.excluded
        changes = {name: new[name] for name in conflict.update}
        changes |= {name: asked.table.c[name] + new[name] for name in conflict.add}
        if conflict.keys:
            statement = statement.on_conflict_do_update(
                index_elements=list(conflict.keys), set_=changes
            )
        else:
            statement = statement.on_conflict_do_nothing()
    return statement.returning(*(asked.table.c[name] for name in asked.returning))


def _written(of: Column[Any], dialect: Dialect) -> Process | None:
    kind = of.type.dialect_impl(dialect)
    if isinstance(of.type, LargeBinary):
        return None  # the driver takes bytes as they are
    return kind.bind_processor(dialect)


def _read(of: Column[Any], dialect: Dialect) -> Process | None:
    return of.type.dialect_impl(dialect).result_processor(dialect, None)
