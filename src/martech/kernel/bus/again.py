"""Tries again what was set aside.

    due ─▶ claimed ─▶ handled and taken out, one transaction
              │ it fails
              ▼
           due later, with backoff; the last attempt parks it

What was never tried (it waits behind another one) is tried together, in portions: what fails then
was no attempt, and is tried by halves. A step tries a portion of each tenant in turn and ends when
its time is up, however much is due: behind it wait the news of all tenants.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import Row

from martech.kernel.bus.fairness import Turns
from martech.kernel.bus.handling import Handling, across
from martech.kernel.bus.unfold import fact_of
from martech.kernel.cursors import Overtaken, Place
from martech.kernel.db import Unit
from martech.kernel.db.hiding import said
from martech.kernel.errors import Unavailable
from martech.kernel.messages import FOLD, Fact
from martech.kernel.outbox import Origin

log = logging.getLogger(__name__)

FIRST_RETRY = timedelta(milliseconds=100)
LONGEST_RETRY = timedelta(minutes=1)
AWAY = timedelta(seconds=5)  # for what needs something that is away and does not say how long


class Again(Handling):
    """What a subscription has set aside."""

    together = FOLD
    """Of what was never tried, so much is tried in one transaction."""

    def __init__(self, *args: Any, **limits: Any) -> None:
        super().__init__(*args, **limits)
        self._turns = Turns(self.together)

    async def _retry_due(self, rows: Sequence[Row[Any]]) -> int:
        """Try what is due again, as far as the time goes; what another process tries is left. How
        much was tried, without what needs something that is away."""
        clock, tried = asyncio.get_running_loop().time, 0
        enough = clock() + self.retrying
        self._turns.begin(rows)
        while portion := self._turns.next():
            self._go_on_unless_ending()
            try:
                done = await self._retry(portion)
            except Overtaken:
                return tried + 1
            (self._turns.done if done else self._turns.failed)(portion)
            tried += 0 if done is None else len(portion)
            if clock() >= enough:
                break
        return tried

    async def _retry(self, rows: Sequence[Row[Any]]) -> bool | None:
        """One more attempt at *rows* of one tenant, all in one transaction; True if they are done,
        or the one is parked for good; None if it is put off. Raises `Overtaken` if one of them is
        not ours."""
        attempt, first = await self._claim(rows), rows[0]
        try:
            async with self.database.unit(
                replaying=first.replaying, heard_before=first.heard_before
            ) as unit:
                connection = await across(unit)
                await self.cursors.load(connection, lock=True)  # nobody else handles meanwhile
                await self.cursors.take(connection, _places(rows), attempt)
                facts = [fact_of(row.type, row.data, self.subscription) for row in rows]
                async with asyncio.timeout(self.shortest):
                    await self._again(unit, rows, facts)
        except Overtaken:
            raise
        except Exception as exc:
            parked = await self._failed(rows, attempt, exc)
            if parked:
                log.exception("%s parked %s", self.name, first.event)
            return parked
        await self._taken_out(rows)
        return True

    async def _taken_out(self, rows: Sequence[Row[Any]]) -> None:
        """*rows* are handled and gone: nobody can try them again."""

    async def _claim(self, rows: Sequence[Row[Any]]) -> int:
        """The number of our attempt. A process that dies in the middle has made an attempt, and
        the next comes when its claim has run out: behind a batch that may come in between, and the
        handling."""
        async with self.database.across() as connection:
            cursor = await self.cursors.load(connection, lock=True)
            now = self.host.clock.now()
            until = now + timedelta(seconds=self.deadline + self.shortest)
            return await self.cursors.claim(connection, _places(rows), now, cursor.place, until)

    async def _failed(
        self, rows: Sequence[Row[Any]], attempt: int, error: Exception
    ) -> bool | None:
        """Write down that *attempt* came to nothing; whether it was the last. It was none at all
        if there are several *rows*, or (None) if something was away."""
        now, several = self.host.clock.now(), len(rows) > 1
        if several or isinstance(error, Unavailable):
            wait = timedelta() if several else _away(error)
            async with self.database.across() as connection:
                await self.cursors.give_back(connection, _places(rows), attempt, now + wait)
            return False if several else None
        parked = attempt >= self.patience or isinstance(error, msgspec.MsgspecError)
        due_at = None if parked else now + min(FIRST_RETRY * 2**attempt, LONGEST_RETRY)
        (item,) = _places(rows)
        async with self.database.across() as connection:
            await self.cursors.failed(connection, item, attempt, due_at, said(error))
        return parked

    async def _again(self, unit: Unit, rows: Sequence[Row[Any]], facts: list[Fact]) -> None:
        origins = [Origin(row.event, row.event) for row in rows]
        for tenant, some, of in self._in_one_go(rows[0].tenant, facts, origins):
            with self._doing(tenant, some, of) as origin:
                await self._call(unit, tenant, some, origin)


def _places(rows: Sequence[Row[Any]]) -> list[Place]:
    return [Place(row.position, row.item) for row in rows]


def _away(error: Exception) -> timedelta:
    """How long to wait for what was away."""
    seconds = error.retry_after if isinstance(error, Unavailable) else None
    return timedelta(seconds=seconds) if seconds else AWAY
