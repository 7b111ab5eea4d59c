"""Those who hold commands, in processes that are stopped or killed; and two planted defects."""

import logging
import os
import signal
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement

from martech.kernel import failpoints
from martech.kernel.clock import TestClock
from martech.kernel.commands import Commands, Lease, Unit
from martech.kernel.grouping import Groups
from martech.kernel.host import Host
from martech.kernel.jobs import Carrier, Jobs
from martech.kernel.messages import Command
from martech.kernel.module import Job
from martech.kernel.settings import Settings
from tests import databases
from tests.chaos.processes import Say
from tests.sample.kitchen.adapters import Street

GO_ON = signal.SIGUSR1


async def hold(say: Say, url: str, ids: list[UUID], commands: type[Commands]) -> None:
    """Carry out *ids*; at the worst moment of each say so, and stand still until `GO_ON`.

    A delivery stands still on the street, and what is done inside stands still before it settles.
    """
    logging.disable()
    signal.pthread_sigmask(signal.SIG_BLOCK, {GO_ON})  # before there are threads to get it

    def stand_still() -> None:
        say(os.getpid())
        signal.sigwait({GO_ON})  # and the whole loop with it: nothing renews the lease

    class StandsStill(commands):  # type: ignore[valid-type, misc]
        async def settle(self, unit: Unit, lease: Lease) -> None:
            if lease.type == "kitchen.bake.v1":
                stand_still()
            await super().settle(unit, lease)

    class LongStreet(Street):
        async def bring(self, number: int) -> None:
            stand_still()

    async with Host(databases.SAMPLE, Settings(database_url=url)) as host:
        host.resources["kitchen"][Street] = LongStreet(Groups.__new__(Groups))
        carrier = Carrier(host, "kitchen", commands=StandsStill)
        for id_ in ids:
            await carrier.carry_out(id_)
        say("done")


async def work(say: Say, url: str, now: datetime, plan: str, carrier: type[Carrier]) -> None:
    """Carry out what is due at *now*, until *plan* ends it."""
    logging.disable()
    settings = Settings(database_url=url)
    async with Host(databases.SAMPLE, settings, clock=TestClock(now)) as host:
        failpoints.arm(plan)
        await Jobs(host, carrier=carrier).settle()
        say("done")


class NoFence(Commands):
    """Whoever once held a command may settle it (M16)."""

    def _held(self, lease: Lease) -> ColumnElement[bool]:
        return self.table.c.id == lease.id


class SettlesAlone(Carrier):
    """Does it in one transaction and says so in another (M16)."""

    async def _inward(self, job: Job, command: Command, lease: Lease) -> None:
        async with self.database.unit() as unit:
            await job.run(command, self._service(unit, lease))
        await failpoints.reach("jobs.before_settle")
        async with self.database.unit() as unit:
            await self.commands.settle(unit, lease)
        await failpoints.reach("jobs.after_settle")
