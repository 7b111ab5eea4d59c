"""One unit of work: its rows, and the messages that tell of them.

`Unit` is the database transaction. `Transaction` is what a module sees of it: one tenant's
part. A request has one of each; a batch of the bus has one unit with a transaction for each
tenant in it. Nothing in a module commits. The edge that opened the unit does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec
from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Executable,
    Row,
    Select,
    Table,
    func,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from martech.kernel import tenancy
from martech.kernel.audit import Audited
from martech.kernel.auth import Principal
from martech.kernel.commands import Enqueued
from martech.kernel.db import many
from martech.kernel.db.among import KEYS, among
from martech.kernel.db.many import Conflict
from martech.kernel.messages import FOLD, Command, Event, Folded
from martech.kernel.outbox import Origin, Told
from martech.kernel.tenancy import ACROSS, SETTING, Rows, Scope, refuse_text


class Connect(Protocol):
    async def __call__(self, write: bool, scope: Scope) -> AsyncConnection:
        """A connection with a transaction begun on it that sees the rows of *scope*."""
        ...


@dataclass
class Unit:
    """One transaction on one module's database. It takes its connection at the first statement."""

    connect: Connect
    dialect: str
    now: datetime
    write: bool = True
    replaying: bool = False
    heard_before: bool = False
    connection: AsyncConnection | None = None
    scope: Scope | None = None
    changes: bool = False
    """Whether a statement was run in it that is there to change rows."""

    told: list[Told] = field(default_factory=list)
    enqueued: list[Enqueued] = field(default_factory=list)
    audited: list[Audited] = field(default_factory=list)

    def of(
        self, tenant: UUID, *, principal: Principal | None = None, origin: Origin | None = None
    ) -> "Transaction":
        """The part of this unit in which a module works for *tenant*."""
        return Transaction(self, tenant, principal, origin or Origin())

    @property
    def writes(self) -> bool:
        """Whether anything comes of it, as far as is known now."""
        return self.changes or bool(self.told or self.enqueued or self.audited)

    async def across(self, statement: Executable, rows: Rows | None = None) -> "CursorResult[Any]":
        """Run a statement of the kernel's own, over all tenants."""
        return await self.execute(statement, rows, ACROSS)

    async def execute(
        self, statement: Executable, rows: Rows | None, scope: Scope
    ) -> "CursorResult[Any]":
        connection = await self.enter(scope)
        self.changes = self.changes or statement.is_dml
        return await connection.execute(statement, rows, execution_options={"scope": scope})

    async def enter(self, scope: Scope) -> AsyncConnection:
        """Tell the database whose rows may be seen from here on."""
        if self.connection is None:
            self.connection = await self.connect(self.write, scope)
        elif self.scope != scope and self.dialect == "postgresql":
            setting = select(func.set_config(SETTING, str(scope), true()))
            await self.connection.execute(setting)
        self.scope = scope
        return self.connection


@dataclass
class Transaction:
    """One tenant's part of a unit of work: what a service is given as ``tx``."""

    unit: Unit
    tenant: UUID
    principal: Principal | None
    origin: Origin

    @property
    def now(self) -> datetime:
        """When this unit of work began; the time of everything it does."""
        return self.unit.now

    @property
    def begun(self) -> bool:
        """Whether a connection is held; ports must be asked before."""
        return self.unit.connection is not None

    async def execute(self, statement: Executable, rows: Rows | None = None) -> "CursorResult[Any]":
        """Run one statement; with *rows*, once for each. Text is refused, and so is a statement
        on a tenant's table that does not name this tenant."""
        if self.unit.dialect == "postgresql":
            refuse_text(statement)
        return await self.unit.execute(statement, rows, self.tenant)

    async def among(
        self,
        statement: "Select[*tuple[Any, ...]]",
        key: "ColumnElement[Any]",
        values: Sequence[object],
        *,
        most: int | None = None,
    ) -> "list[Row[Any]]":
        """The rows of *statement* whose *key* is one of *values*, however many those are; each
        looked up in the index that has *key* and the columns the statement fixes. No more rows
        than *most* of all keys together: some, if there are more."""
        rows: list[Row[Any]] = []
        for start in range(0, len(values), KEYS):
            some, left = values[start : start + KEYS], None if most is None else most - len(rows)
            part = among(statement, key, some, self.unit.dialect, left)
            rows += (await self.execute(part)).all()
            if most is not None and len(rows) >= most:
                break
        return rows

    async def insert(self, table: Table, rows: Rows) -> None:
        """Insert *rows*, none of which may be there. All name the same columns."""
        await self._insert(table, rows)

    async def insert_new(
        self, table: Table, rows: Rows, *, returning: Sequence[str]
    ) -> Sequence[Any]:
        """Insert those of *rows* that are not there yet; return columns of the ones that were
        new, in no order. A row that a second writer inserts meanwhile is not new."""
        return await self._insert(table, rows, Conflict(), returning)

    async def upsert(
        self,
        table: Table,
        rows: Rows,
        *,
        keys: Sequence[str],
        update: Sequence[str] = (),
        add: Sequence[str] = (),
    ) -> None:
        """Insert *rows*; where *keys* exist, set the columns of *update* and increase those of
        *add* by the row's value. No two rows have the same keys."""
        await self._insert(table, rows, Conflict(tuple(keys), tuple(update), tuple(add)))

    async def _insert(
        self,
        table: Table,
        rows: Rows,
        conflict: Conflict | None = None,
        returning: Sequence[str] = (),
    ) -> Sequence[Any]:
        if not rows:
            return []
        tenancy.check_rows(table, rows, self.tenant)
        if conflict and conflict.keys:
            tenancy.check_conflict(table, conflict.keys, conflict.update + conflict.add)
        asked = many.Insertion(table, tuple(rows[0]), conflict, tuple(returning))
        connection = await self.unit.enter(self.tenant)
        self.unit.changes = True
        return await many.insert(connection, asked, rows)

    def publish(self, event: Event) -> None:
        """Tell the other modules, if and only if this unit commits. A folded event without items
        tells nothing; one of more than `FOLD` is told in parts, in order."""
        for part in _parts(event) if isinstance(event, Folded) else (event,):
            self.unit.told.append(Told(self.tenant, part, self.origin))

    def enqueue(
        self, command: Command, *, at: datetime | None = None, key: str | None = None
    ) -> None:
        """Have this module's job carry out *command*, not before *at*, if and only if this unit
        commits. At most one open command of a type has the same *key*."""
        self.unit.enqueued.append(Enqueued(self.tenant, command, at or self.now, key, self.origin))

    def audit(self, action: str, subject: str, **detail: object) -> None:
        """Record, in this unit, who did what to whom; in a chain that shows any later change."""
        self.unit.audited.append(Audited(self.tenant, self.principal, action, subject, detail))


def _parts(event: Folded) -> Iterator[Folded]:
    for start in range(0, len(event.items), FOLD):
        yield msgspec.structs.replace(event, items=event.items[start : start + FOLD])
