"""One module's commands, from due to done.

    lease ─▶ inward   one unit of work: the effect and `done` commit together, or neither
         └─▶ outward  units of work with the world in between; each checks the fence as it
                      commits; then `done`

Whatever goes wrong is written on the row: an attempt that failed, or, when something the job
needs is away (`Unavailable`), only a later time. A process that dies writes nothing; its lease
runs out and the next sweep hands the command to another.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from martech.kernel import failpoints, telemetry
from martech.kernel.asking import due_within
from martech.kernel.commands import LEASE, RESEND, Commands, Lease, Stale
from martech.kernel.db import Unit as DatabaseUnit
from martech.kernel.db.hiding import said
from martech.kernel.errors import Unavailable
from martech.kernel.host import Host
from martech.kernel.messages import Command, wire_name
from martech.kernel.module import Job
from martech.kernel.outbox import Origin

log = logging.getLogger(__name__)

DEADLINE = 300.0
"""Seconds that one attempt may take; then it has failed."""

AWAY = timedelta(seconds=5)
"""How long to wait for something that is away and does not say how long."""

PORTIONS = 100
"""Transactions in which what was done long ago is removed in one go."""


@dataclass
class Story:
    """An outward job as whoever asks: inside a unit of its it has begun, as any transaction."""

    origin: Origin
    principal: None = None

    @property
    def begun(self) -> bool:
        unit = _inside.get()
        return unit is not None and unit.connection is not None


_inside: ContextVar[DatabaseUnit | None] = ContextVar("martech.unit", default=None)
"""The unit that a job has open."""


class Carrier:
    """Carries out the commands of one module, each under a lease of *lease*."""

    def __init__(
        self,
        host: Host,
        name: str,
        *,
        commands: type[Commands] = Commands,
        lease: timedelta = LEASE,
        resend: timedelta = RESEND,
        deadline: float = DEADLINE,
    ) -> None:
        self.host = host
        self.name = name
        self.database = host.databases[name]
        self.commands = commands(self.database.metadata, resend)
        self.lease = lease
        self.deadline = deadline
        self.jobs = {wire_name(job.command): job for job in host.modules[name].jobs}
        self.held: dict[UUID, Lease] = {}

    async def sweep(self, window: int) -> tuple[list[UUID], datetime | None]:
        """The commands to hand out now, so that at most *window* are on their way; and when the
        next one is to be handed out."""
        async with self.database.unit(write=False) as unit:
            coming = await self.commands.next_due(unit)
        if coming is None or coming > unit.now:
            return [], coming
        async with self.database.unit() as unit:
            return await self.commands.due(unit, window), coming

    async def recall(self, ids: Sequence[UUID] | None = None) -> None:
        """They, or all of them, never left: hand them out again at the next sweep."""
        async with self.database.unit() as unit:
            await self.commands.recall(unit, ids)

    async def carry_out(self, id_: UUID) -> bool:
        """Do it, if it is still to be done. Never raises but when cancelled."""
        try:
            async with self.database.unit() as unit:
                lease = await self.commands.lease(unit, id_, self.lease)
        except Unavailable as exc:
            log.warning("%s: %s waits: %s", self.name, id_, exc.detail)
            return False
        if lease is None:
            return False
        self.held[lease.id] = lease
        try:
            with self._named(lease):
                await failpoints.reach("jobs.after_lease")
                await self._attempt(lease)
        except Stale:
            log.warning("%s: %s was taken over; nothing is committed any more", self.name, id_)
        finally:
            self._let_go(lease)
        return True

    async def renew(self) -> None:
        """Hold on to what is being carried out."""
        for lease in list(self.held.values()):
            try:
                async with self.database.unit() as unit:
                    await self.commands.renew(unit, lease, self.lease)
            except Stale:
                self._let_go(lease)

    def _let_go(self, lease: Lease) -> None:
        """It may have been taken over here: what is held under a newer lease is held on to."""
        if self.held.get(lease.id) is lease:
            del self.held[lease.id]

    async def give_back(self, untaken: Sequence[UUID] = ()) -> None:
        """Let somebody else carry out at once what this process no longer can; *untaken* is what
        was on its way to it."""
        if untaken:
            try:
                await self.recall(untaken)
            except Unavailable as exc:
                log.warning("%s: what was on its way waits: %s", self.name, exc)
        for lease in list(self.held.values()):
            try:
                async with self.database.unit() as unit:
                    await self.commands.postpone(unit, lease, "was broken off", timedelta())
            except (Stale, Unavailable) as exc:
                log.warning("%s: cannot give %s back: %s", self.name, lease.id, exc)

    async def forget(self) -> None:
        """Remove what was done long ago; of very much, some."""
        for _ in range(PORTIONS):
            async with self.database.unit() as unit:
                if not await self.commands.forget(unit):
                    return

    async def _attempt(self, lease: Lease) -> None:
        try:
            async with asyncio.timeout(self.deadline):
                with due_within(self.deadline):
                    await self._run(lease)
        except Stale:
            raise
        except Unavailable as exc:
            telemetry.failed(type(exc).__name__)
            wait = timedelta(seconds=exc.retry_after) if exc.retry_after else AWAY
            await self._note(lease, exc.detail, wait)
        except Exception as exc:
            telemetry.failed(type(exc).__name__)
            log.warning("%s: %s failed", self.name, lease.id, exc_info=exc)
            await self._note(lease, said(exc), None)

    async def _note(self, lease: Lease, error: str, wait: timedelta | None) -> None:
        """Write the failure down, or (with *wait*) only that it is for later."""
        try:
            async with self.database.unit() as unit:
                if wait is not None:
                    await self.commands.postpone(unit, lease, error, wait)
                elif await self.commands.fail(unit, lease, error):
                    log.error("%s: parked %s: %s", self.name, lease.id, error)
        except Unavailable as exc:
            log.warning("%s: %s waits for its lease to end: %s", self.name, lease.id, exc.detail)

    async def _run(self, lease: Lease) -> None:
        job = self.jobs.get(lease.type)
        if job is None:
            raise LookupError(f"{self.name} has no job for {lease.type}.")
        command = msgspec.json.decode(lease.data, type=job.command)
        if job.inward:
            await self._inward(job, command, lease)
        else:
            await self._outward(job, command, lease)

    async def _inward(self, job: Job, command: Command, lease: Lease) -> None:
        async with self.database.unit() as unit:
            await job.run(command, self._service(unit, lease))
            await failpoints.reach("jobs.before_settle")
            await self.commands.settle(unit, lease)
        await failpoints.reach("jobs.after_settle")

    async def _outward(self, job: Job, command: Command, lease: Lease) -> None:
        @asynccontextmanager
        async def open_unit() -> AsyncIterator[Any]:
            async with self.database.unit() as unit:
                token = _inside.set(unit)
                try:
                    yield self._service(unit, lease)
                finally:
                    _inside.reset(token)
                if unit.writes:
                    await self.commands.gets_on(unit, lease)
                else:  # whoever only reads comes no further than who died before
                    await self.commands.holds(unit, lease)

        given = self.jobs[lease.type].takes
        others = {key: self._hand(kind, lease) for key, kind in given.items()}
        await job.run(command, open_unit, **others)
        await failpoints.reach("jobs.before_settle")
        async with self.database.unit() as unit:
            await self.commands.settle(unit, lease)
        self.host.process.signals.wake(
            f"{self.name}.commands"
        )  # it may have asked for itself again
        await failpoints.reach("jobs.after_settle")

    def _named(self, lease: Lease) -> AbstractContextManager[telemetry.Trace]:
        """Whatever is logged meanwhile carries the trace of the request that led here, the tenant,
        and the command's id in place of a request's."""
        return telemetry.taking_up(
            self.host.process.recorder,
            f"process {lease.type}",
            "consumer",
            [lease.origin.traceparent],
            {
                "messaging.system": "martech",
                "messaging.operation.name": "process",
                "messaging.operation.type": "process",
                "messaging.destination.name": f"{self.name}.commands",
                "messaging.message.id": str(lease.id),
                "martech.type": lease.type,
                "martech.attempts": lease.attempts,
            },
            request=str(lease.id),
            tenant=lease.tenant,
        )

    def _service(self, unit: DatabaseUnit, lease: Lease) -> Any:
        return self.host.service(self.name, unit.of(lease.tenant, origin=lease.origin.here()))

    def _hand(self, kind: type, lease: Lease) -> Any:
        resources = self.host.resources[self.name]
        if kind in resources:
            return resources[kind]
        return self.host.port(kind, lease.tenant, Story(lease.origin))
