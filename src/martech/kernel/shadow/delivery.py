"""Carries to a shadow what its live twin has heard already, and never more than that.

What the live one has set aside has had no effect yet, inside or outside. The shadow leaves it
alone: whoever tries it again does so once, in whichever projection is in use by then. What was set
aside and is no more (it was done, or given up, meanwhile) the shadow catches up on.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from martech.kernel.bus import Delivery
from martech.kernel.bus.unfold import Heard
from martech.kernel.cursors import Cursor, Cursors, Place
from martech.kernel.db import Unit
from martech.kernel.errors import Conflict
from martech.kernel.host import Host
from martech.kernel.module import ManifestError
from martech.kernel.shadow.schema import Shadow

ALWAYS = 2**62
"""Everything is the past to a shadow, and was heard before by its live twin: nothing is done
outside, and nothing is told."""


class ShadowDelivery(Delivery):
    def __init__(self, host: Host, shadow: Shadow, **limits: Any) -> None:
        super().__init__(host, shadow.live.name, shadow.projection.of, **limits)
        self.live = self.database
        self.live_cursors = self.cursors
        self.database = shadow.database
        self.cursors = Cursors(shadow.database.metadata, self.subscription.name)
        self.reached = Place(0, 0)
        self.end = Place(0, 0)
        """Where the live one stood at the last look."""

        self._aside: frozenset[Place] = frozenset()
        self._owed: dict[Place, Heard] = {}

    async def begin(self) -> None:
        async with self.database.across() as connection:
            await self.cursors.create(connection, ALWAYS, ALWAYS)

    async def is_ready(self) -> bool:
        """Whether it stands where the live one stands, with nothing left to be tried again."""
        async with self.database.across(write=False) as connection:
            _, waiting = await self.cursors.counts(connection)
        return self.reached == self.end and not waiting and self._owed.keys() <= self._aside

    async def step(self) -> int:
        await self._look()
        return await super().step()

    async def _look(self) -> None:
        async with self.live.across(write=False) as connection:
            self.end = (await self.live_cursors.load(connection)).place
            self._aside = await self.live_cursors.aside(connection)
        if self.end < self.reached:
            raise Conflict(f"{self.name} was replayed meanwhile. Begin again when it has ended.")

    async def _go_on(self) -> int:
        self._left = None  # it is the live one's place that says how far to go
        return 0

    async def _next_batch(self, cursor: Cursor) -> int:
        settled = await self._catch_up()
        handled = await super()._next_batch(cursor)
        async with self.database.across(write=False) as connection:
            self.reached = (await self.cursors.load(connection)).place
        return settled + handled

    async def _hear(self, place: Place) -> list[Heard]:
        return [heard for heard in await super()._hear(place) if heard.next <= self.end]

    async def _hold_back(
        self, unit: Unit, connection: AsyncConnection, heard: Sequence[Heard], place: Place
    ) -> Sequence[Heard]:
        self._owed |= {h.place: h for h in heard if h.place in self._aside}
        mine = [h for h in heard if h.place not in self._aside]
        return await super()._hold_back(unit, connection, mine, place)

    async def _catch_up(self) -> int:
        """What the live one has set aside no longer."""
        settled = [h for place, h in self._owed.items() if place not in self._aside]
        if settled:
            async with self.database.across() as connection:
                asides = [heard.aside() for heard in settled]
                now, why = self.host.clock.now(), "waited beside the live one"
                await self.cursors.set_aside(connection, asides, attempts=0, due_at=now, error=why)
            self._owed = {p: h for p, h in self._owed.items() if p in self._aside}
        return len(settled)

    async def _set_aside(self, heard: Heard, place: Place, error: Exception) -> Place:
        if isinstance(error, ManifestError):
            raise error
        return await super()._set_aside(heard, place, error)
