"""Whose commands go out next: the oldest, and where there is no room for all, the tenants in turn.

So a tenant's backlog holds up that tenant. What a look costs does not grow with the backlog: it
goes from tenant to tenant in an index, over some of them, and the next look goes on behind those.
"""

from collections.abc import Sequence
from itertools import chain, zip_longest
from uuid import UUID

from sqlalchemy import ColumnElement, ScalarSelect, Table, and_, literal, select

from martech.kernel.commands.rows import Unit, is_open

WALK = 256
"""Tenants looked at in one go: most may have nothing but timers."""

TURNS = 16
"""Tenants whose turn it is at once."""

FIRST = UUID(int=0)


class Turns:
    """Whose turn it was last, as far as one sweeper knows."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._behind = FIRST

    async def choose(self, unit: Unit, ready: ColumnElement[bool], room: int) -> list[UUID]:
        """Up to *room* commands that are *ready*, in the order in which they are to go out."""
        oldest = await self._oldest(unit, ready, room + 1)
        if len(oldest) <= room:
            return oldest
        tenants = await self._next(unit, min(TURNS, room))
        tenant = self._table.c.tenant
        shares = [
            await self._oldest(unit, and_(ready, tenant == each), room // len(tenants))
            for each in tenants
        ]
        in_turn = chain.from_iterable(zip_longest(*shares))
        return list(dict.fromkeys([*filter(None, in_turn), *oldest]))[:room]

    async def _oldest(self, unit: Unit, ready: ColumnElement[bool], most: int) -> list[UUID]:
        c = self._table.c
        query = select(c.id).where(ready).order_by(c.due_at, c.id).limit(most)
        return list((await unit.across(query)).scalars())

    async def _next(self, unit: Unit, most: int) -> Sequence[UUID]:
        """Up to *most* tenants with something due, behind those whose turn it was last."""
        found, end = await self._walk(unit, self._behind)
        if end is None and len(found) < most:
            more, end = await self._walk(unit, FIRST)
            found = list(dict.fromkeys([*found, *more]))
        found = found[:most]
        self._behind = found[-1] if found else end or FIRST
        return found

    async def _walk(self, unit: Unit, behind: UUID) -> tuple[list[UUID], UUID | None]:
        """Those of the next `WALK` tenants that have something due, and the last of these tenants;
        None when there are no more behind them. (A range of one tenant, for there is one index
        in its order.)"""
        c = self._table.c
        walk = select(
            self._behind_which(literal(behind, c.tenant.type)).label("tenant"),
            literal(1).label("step"),
        ).cte("walk", recursive=True)
        on = walk.c.tenant.is_not(None), walk.c.step < WALK
        walk = walk.union_all(select(self._behind_which(walk.c.tenant), walk.c.step + 1).where(*on))
        its = is_open(self._table), c.tenant.between(walk.c.tenant, walk.c.tenant)
        first = select(c.due_at).where(*its).order_by(c.tenant, c.due_at).limit(1)
        query = select(walk.c.tenant, first.scalar_subquery().label("due_at"))
        rows = (await unit.across(query.where(walk.c.tenant.is_not(None)))).all()
        found = sorted(row.tenant for row in rows if row.due_at <= unit.now)
        return found, max(row.tenant for row in rows) if len(rows) == WALK else None

    def _behind_which(self, tenant: ColumnElement[UUID]) -> ScalarSelect[UUID]:
        c = self._table.c
        which = select(c.tenant).where(is_open(self._table), c.tenant > tenant)
        return which.order_by(c.tenant).limit(1).scalar_subquery()
