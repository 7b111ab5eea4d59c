"""The second wall between tenants.

The first wall is the query: every statement of a module names the tenant. The second
is the database, and holds when a query forgets. On PostgreSQL it is row-level security
(see `migrate`), on SQLite this check of each statement before it runs:

* every tenant table that is read, changed or deleted from stands beside a top-level
  conjunct ``table.tenant = <the unit's tenant>``, with that value;
* every row that is inserted carries that tenant;
* text is refused, since nobody can check it (on PostgreSQL too: it could change the scope).

`ACROSS` is the one named way round it, for the bus, the sweeper and the migrations.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnClause,
    Delete,
    Executable,
    Function,
    Insert,
    Select,
    Table,
    TableClause,
    Update,
)
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import (
    BinaryExpression,
    BindParameter,
    BooleanClauseList,
    ClauseElement,
    ColumnElement,
    TextClause,
)
from sqlalchemy.sql.selectable import (
    Alias,
    FromClause,
    FromGrouping,
    Join,
    SelectBase,
    SelectState,
)

ACROSS: Final = "*"
"""The scope of the kernel's own statements: no tenant, all tenants."""

SETTING: Final = "martech.tenant"
"""PostgreSQL's, of one transaction: the scope that its row-level security looks at."""

TEXT_REFUSED: Final = "Raw SQL is refused: nobody can check whose rows it touches."

Scope = UUID | str
Rows = Sequence[Mapping[str, Any]]


class WallBreached(AssertionError):
    """A statement would have crossed from one tenant to another. A bug of ours, never a user's."""


def check(statement: ClauseElement, rows: Rows, scope: Scope | None) -> None:
    """Raise `WallBreached` unless *statement* stays within *scope*."""
    if scope == ACROSS:
        return
    if not isinstance(scope, UUID):
        raise WallBreached("A statement ran outside any tenant's transaction.")
    elements = list(visitors.iterate(statement))
    if any(map(_is_text, elements)):
        raise WallBreached(TEXT_REFUSED)
    for element in elements:
        match element:
            case Select():
                _check_filter(read_from(element), element.whereclause, scope)
            case Update() | Delete():
                _check_filter([element.table], element.whereclause, scope)
                _check_change(element, rows)
            case Insert():
                _check_rows(element, rows, scope)
                _check_conflict(element)


def read_from(select: Select[Any]) -> Sequence[FromClause]:
    """What ``select.get_final_froms()`` says; but that compiles the whole statement first, which
    takes five times as long as all the rest of the check."""
    froms: Sequence[FromClause] = SelectState(select, None)._get_display_froms()  # type: ignore[arg-type]  # of no use to it
    return froms


def refuse_text(statement: Executable) -> None:
    """Raise `WallBreached` if any part of *statement* is text (it could even set the scope)."""
    if not isinstance(statement, ClauseElement):
        raise WallBreached(TEXT_REFUSED)
    if any(map(_is_text, visitors.iterate(statement))):
        raise WallBreached(TEXT_REFUSED)


def _is_text(element: object) -> bool:
    """Text under any name: ``text()``, ``literal_column()``, or a ``table()`` that is nobody's; and
    the one function by which a statement could change the scope it runs in."""
    match element:
        case TextClause():
            return True
        case Column() | Table():
            return False
        case ColumnClause():
            return element.is_literal and element.name != "*"  # as in count(*)
        case Function():
            return element.name.lower() == "set_config"
    return isinstance(element, TableClause)


def _check_filter(froms: Iterable[FromClause], where: ClauseElement | None, scope: UUID) -> None:
    walled: list[FromClause] = []
    joins: list[Join] = []
    for part in chain.from_iterable(map(_flatten, froms)):
        if isinstance(part, Join):
            joins.append(part)
        elif "tenant" in part.c and isinstance(_origin(part), Table):
            walled.append(part)
    everywhere = list(_conjuncts(where))
    for table in walled:
        conjuncts = [*everywhere, *chain.from_iterable(_bounds(join, table) for join in joins)]
        if not any(_names_tenant(c, table, scope) for c in conjuncts):
            raise WallBreached(f"A statement on {_origin(table)} does not name its tenant.")


def _bounds(join: Join, table: FromClause) -> Iterable[ClauseElement]:
    """The conjuncts of *join* that keep rows of *table* out. An outer join shows every row of its
    left side, whatever its condition is; a full one shows every row."""
    side = join.right if join.isouter else join
    if join.full or not any(part is table for part in _flatten(side)):
        return ()
    return _conjuncts(join.onclause)


def _check_change(statement: Update | Delete, rows: Rows) -> None:
    """No row moves to another tenant, and no other table is read but in a SELECT of its own."""
    values = dict(getattr(statement, "_values", None) or {})
    names = {getattr(column, "name", column) for column in values} | {
        n for row in rows for n in row
    }
    if "tenant" in names:
        raise WallBreached(f"A row of {statement.table} would change its tenant.")
    for part in (statement.whereclause, *values.values()):
        for column in _columns(part):
            if column.table is not statement.table:
                raise WallBreached(f"A change of {statement.table} reads {column.table} unwalled.")


def _check_conflict(statement: Insert) -> None:
    conflict: Any = getattr(statement, "_post_values_clause", None)
    change = getattr(conflict, "update_values_to_set", None)
    if change is not None:
        keys = [_name(element) for element in conflict.inferred_target_elements or ()]
        check_conflict(statement.table, keys, [_name(column) for column in dict(change)])


def _name(column: object) -> str:
    return str(getattr(column, "name", column))


def _columns(clause: object) -> Iterator[Column[Any]]:
    """The columns in *clause*, but for those of its SELECTs."""
    if isinstance(clause, Column):
        yield clause
    elif isinstance(clause, ClauseElement) and not isinstance(clause, SelectBase):
        for child in clause.get_children():
            yield from _columns(child)


def _check_rows(statement: Insert, rows: Rows, scope: UUID) -> None:
    """Rows come beside the statement, not as values inside it: one place to look."""
    if "tenant" not in statement.table.c:
        return
    if statement._values or statement._multi_values or statement.select is not None or not rows:
        raise WallBreached(f"Rows for {statement.table} must come beside the statement.")
    check_rows(statement.table, rows, scope)


def check_rows(table: TableClause, rows: Rows, scope: UUID) -> None:
    """Raise `WallBreached` unless each of *rows* is one of *scope*."""
    if "tenant" in table.c and not all(row.get("tenant") == scope for row in rows):
        raise WallBreached(f"A row for {table} carries another tenant, or none.")


def check_conflict(table: TableClause, keys: Collection[str], changed: Collection[str]) -> None:
    """Whose row is changed in place of an insert is told by a key with the tenant in it."""
    if "tenant" in table.c and ("tenant" not in keys or "tenant" in changed):
        raise WallBreached(f"A conflict in {table} may be with another tenant's row.")


def _flatten(source: FromClause) -> Iterator[FromClause]:
    if isinstance(source, FromGrouping):  # a join on the right of another
        source = source.element
    yield source
    if isinstance(source, Join):
        yield from _flatten(source.left)
        yield from _flatten(source.right)


def _origin(source: FromClause) -> FromClause:
    while isinstance(source, Alias):
        source = source.element
    return source


def _conjuncts(clause: ClauseElement | None) -> Iterator[ClauseElement]:
    if isinstance(clause, BooleanClauseList) and clause.operator is operators.and_:
        for part in clause.clauses:
            yield from _conjuncts(part)
    elif clause is not None:
        yield clause


def _names_tenant(clause: ClauseElement, table: FromClause, scope: UUID) -> bool:
    return (
        isinstance(clause, BinaryExpression)
        and clause.operator is operators.eq
        and _is_tenant_of(clause.left, table)
        and isinstance(clause.right, BindParameter)
        and clause.right.value == scope
    )


def _is_tenant_of(column: ColumnElement[Any], table: FromClause) -> bool:
    return isinstance(column, Column) and column.name == "tenant" and column.table is table
