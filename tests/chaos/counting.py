"""A bus that feeds the event store, in a process that is killed; and what is wrong with one."""

import logging
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Row

from martech.kernel import failpoints
from martech.kernel.bus import Bus, Delivery, StoredDelivery
from martech.kernel.bus.unfold import Heard
from martech.kernel.cursors import Place
from martech.kernel.db import Unit
from martech.kernel.host import Host
from martech.kernel.messages import Fact
from martech.kernel.module import Module
from martech.modules.analytics.service import AnalyticsService
from martech.modules.profiles.contract import Activity
from tests.chaos.processes import Say
from tests.modules.analytics.counting import MODULES, settings

SULKS = "Sulks"
"""The name of events that cannot be kept, every other time."""


class MovesCursorElsewhere(StoredDelivery):
    """Keeps the cursor in the engine, but not in the transaction of the rows (M4)."""

    async def _together(self, heard: Sequence[Heard], place: Place, replaying: bool) -> Place:
        async with self._moving(place, place):
            reached = await Delivery._together(self, heard, place, replaying)
        await failpoints.reach("store.before_commit")
        async with self._moving(place, reached):
            return reached


class SettlesFirst(StoredDelivery):
    """Takes out what was set aside, and writes its effect afterwards."""

    async def _retry(self, rows: Sequence[Row[Any]]) -> bool | None:
        (row,) = rows
        item = Place(row.position, row.item)
        async with self._into(self.engine.once(self.subscription.name, item)):
            settled = await Delivery._retry(self, rows)
            if settled:
                await failpoints.reach("store.after_once")
        return settled

    async def _again(self, unit: Unit, rows: Sequence[Row[Any]], facts: list[Fact]) -> None:
        await Delivery._again(self, unit, rows, facts)

    async def _taken_out(self, rows: Sequence[Row[Any]]) -> None:
        """There is no mark yet."""


def moody(seed: int) -> list[Module]:
    """Analytics that now and then cannot digest a batch with a certain event in it."""
    dice = random.Random(seed)

    class MoodyService(AnalyticsService):
        def keep_activities(self, activities: Sequence[Activity]) -> None:
            super().keep_activities(activities)
            if any(a.event == SULKS for a in activities) and dice.random() < 0.5:
                raise ValueError("not today")

    return [replace(m, service=MoodyService) if m.name == "analytics" else m for m in MODULES]


async def count(
    say: Say, url: str, folder: Path, plan: str, seed: int, stored: type[StoredDelivery]
) -> None:
    """Feed the store, for ever, or until *plan* or somebody else ends it."""
    logging.disable()
    async with Host(moody(seed), settings(url, folder)) as host:
        failpoints.arm(plan)
        say("counting")
        await Bus(host, stored=stored, batch=10).run()
