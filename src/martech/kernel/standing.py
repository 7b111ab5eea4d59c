"""How things stand: what each module has told, heard, put aside and still to do.

Counts only, and over all tenants: the landing page and the metrics show them to anybody.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import func, select

from martech.kernel.bus import Bus, Delivery
from martech.kernel.columns import table
from martech.kernel.commands import Commands
from martech.kernel.cursors import Place
from martech.kernel.db import Database
from martech.kernel.errors import Unavailable
from martech.kernel.host import Host
from martech.kernel.messages import View

KEPT = timedelta(seconds=1)
"""How long a look is good for: looking costs a few queries a module."""

WITHIN = 2.0
"""Seconds in which a peer is to say what waits there; one that does not is asked nothing more at
that look."""


class SubscriptionStanding(View, frozen=True, kw_only=True):
    name: str
    """``<module>.<handler>``."""

    source: str
    behind: int | None
    """Items of its event that it has not handled yet; None while its source does not say."""

    waiting: int
    """Items set aside, to be tried again."""

    parked: int
    """Items set aside for a person to look at."""


def unheard(subscriptions: Iterable[SubscriptionStanding]) -> list[str]:
    """The sources that do not say how much waits there."""
    return sorted({each.source for each in subscriptions if each.behind is None})


def shown_behind(subscription: SubscriptionStanding) -> str:
    """As it is shown: a question mark where nobody can say."""
    return "?" if subscription.behind is None else f"{subscription.behind:,}"


class ModuleStanding(View, frozen=True, kw_only=True):
    name: str
    available: bool = True
    told: int = 0
    """The last position in its outbox."""

    due: int = 0
    """Commands whose time has come."""

    parked: int = 0
    """Commands that failed to the end."""

    subscriptions: tuple[SubscriptionStanding, ...] = ()


class Standing:
    """Looks at a host's modules, at most once a second."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._deliveries = Bus(host).deliveries
        self._seen: list[ModuleStanding] = []
        self._seen_at: datetime | None = None
        self._looking = asyncio.Lock()
        self._away = set[str]()
        """Sources that did not answer at this look."""

    async def look(self) -> list[ModuleStanding]:
        """Many who ask at once cause one look."""
        async with self._looking:
            now = self._host.clock.now()
            # a clock may be set back
            if self._seen_at is None or abs(now - self._seen_at) >= KEPT:
                self._away.clear()
                self._seen = [await self._module(name) for name in self._host.modules]
                self._seen_at = self._host.clock.now()
        return self._seen

    async def _module(self, name: str) -> ModuleStanding:
        database = self._host.databases[name]
        mine = [d for d in self._deliveries if d.module == name]
        try:
            told, due, parked = await _counts(database)
            subscriptions = tuple([await self._subscription(delivery) for delivery in mine])
        except Unavailable:
            return ModuleStanding(name=name, available=False)
        return ModuleStanding(
            name=name, told=told, due=due, parked=parked, subscriptions=subscriptions
        )

    async def _subscription(self, delivery: Delivery) -> SubscriptionStanding:
        async with delivery.database.across(write=False) as connection:
            place = (await delivery.cursors.load(connection)).place
            parked, waiting = await delivery.cursors.counts(connection)
        return SubscriptionStanding(
            name=delivery.name,
            source=delivery.feed.source,
            behind=await self._behind(delivery, place),
            waiting=waiting,
            parked=parked,
        )

    async def _behind(self, delivery: Delivery, place: Place) -> int | None:
        """A source that is away says nothing of the module that listens to it."""
        source = delivery.feed.source
        if source in self._away:
            return None
        try:
            async with asyncio.timeout(None if source in self._host.databases else WITHIN):
                return await delivery.behind(place)
        except (Unavailable, TimeoutError):
            self._away.add(source)
            return None


async def _counts(database: Database) -> tuple[int, int, int]:
    outbox = table(database.metadata, "outbox")
    commands = Commands(database.metadata)
    c = commands.table.c
    async with database.unit(write=False) as unit:
        told = await unit.across(select(func.max(outbox.c.position)))
        due = await unit.across(
            select(func.count())
            .select_from(commands.table)
            .where(commands.open, c.due_at <= unit.now)
        )
        parked = await unit.across(
            select(func.count()).select_from(commands.table).where(c.parked_at.is_not(None))
        )
        return told.scalar_one() or 0, due.scalar_one(), parked.scalar_one()
