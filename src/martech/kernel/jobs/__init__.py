"""What is to be done later, slowly, or out in the world.

A handler is one transaction. A job carries out a command (see `commands`): an inward one in one
transaction with its settlement, an outward one as a story of several, with the world in between.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from martech.kernel.commands import LEASE, RESEND, Commands
from martech.kernel.errors import Unavailable
from martech.kernel.host import Host
from martech.kernel.jobs.carrier import DEADLINE, Carrier
from martech.kernel.jobs.forgetting import forget_answers
from martech.kernel.jobs.queue import Queue
from martech.kernel.trouble import Trouble

__all__ = ["Carrier", "Jobs", "Queue"]

log = logging.getLogger(__name__)

POLL = 1.0  # seconds between looks, when nobody wakes us and no timer goes off
BUSY = 0.05  # and when there was something to hand out
AWAY = 2.0  # and when the database or the broker is away
WINDOW = 128  # commands of a module on their way at once; the others wait in the table
AT_ONCE = 8  # commands of a module carried out at once in this process

Errand = Callable[[], Awaitable[object]]


class Jobs:
    """The commands of all modules of a host that have jobs, each module on its own."""

    def __init__(
        self,
        host: Host,
        *,
        carrier: type[Carrier] = Carrier,
        commands: type[Commands] = Commands,
        lease: timedelta = LEASE,
        resend: timedelta = RESEND,
        deadline: float = DEADLINE,
    ) -> None:
        self.host = host
        self.carriers = {
            name: carrier(
                host, name, commands=commands, lease=lease, resend=resend, deadline=deadline
            )
            for name, module in host.modules.items()
            if module.jobs
        }

    async def run(self, alone: Collection[str] = ()) -> None:
        """Carry out what is due until cancelled; then finish what has begun. Meanwhile what is kept
        for a time is forgotten when that is over.

        *alone* are modules for which nobody else works: what was on its way there died with whoever
        was to carry it out, and is handed out again at once. What had begun waits for its lease to
        end: if it was what killed the process, it does not kill the next one as soon as it is up.
        """
        async with asyncio.TaskGroup() as tasks:
            for name, carrier in self.carriers.items():
                if name in alone:
                    await _recall_all(carrier)
                tasks.create_task(self._serve(carrier), name=f"jobs of {name}")
            tasks.create_task(forget_answers(self.host), name="old answers")

    async def settle(self) -> bool:
        """Carry out what is due, one after the other, until nothing is. False if nothing was."""
        moved = False
        while any([await _once(carrier) for carrier in self.carriers.values()]):
            moved = True
        return moved

    async def _serve(self, carrier: Carrier) -> None:
        settings = self.host.settings
        queue = Queue(carrier.name, settings.redis_url, settings.database_of(carrier.name))
        queue.open(carrier.carry_out, AT_ONCE)
        keeping = asyncio.create_task(  # apart from all else: a lease waits for nobody
            _now_and_then(carrier, carrier.renew, "cannot renew its leases")
        )
        forgetting = asyncio.create_task(
            _now_and_then(carrier, carrier.forget, "cannot remove what was done long ago")
        )
        try:
            await self._sweep(carrier, queue)
        finally:
            forgetting.cancel()
            try:  # what is finished meanwhile is ours until it is: nobody may take it over
                left = await queue.close(settings.drain_seconds)
            finally:
                keeping.cancel()
            await carrier.give_back(left)

    async def _sweep(self, carrier: Carrier, queue: Queue) -> None:
        """Hand out what is due: at the next time, when woken, and now and then."""
        topic, trouble = f"{carrier.name}.commands", Trouble(log)
        with self.host.process.signals.listening(topic) as news:
            while True:
                news.clear()
                wait = await self.hand_out(carrier, queue, trouble)
                try:
                    async with asyncio.timeout(wait):
                        await news.wait()
                except TimeoutError:
                    continue

    async def hand_out(self, carrier: Carrier, queue: Queue, trouble: Trouble) -> float:
        """One sweep; returns the seconds until the next."""
        try:
            if await queue.waiting() >= WINDOW:  # late, and not forgotten: not once more
                return BUSY
            ids, coming = await _swept(carrier)
            if ids:
                await _send(carrier, queue, ids)
                return BUSY
        except Unavailable as exc:
            trouble.begins(f"the commands of {carrier.name} wait", exc.detail)
            return AWAY
        except Exception:
            log.exception("the sweep of %s stumbled and tries again", carrier.name)
            return AWAY
        trouble.ends(f"the commands of {carrier.name} are handed out again")
        if coming is None:
            return POLL
        return min(POLL, max(BUSY, (coming - self.host.clock.now()).total_seconds()))


async def _swept(carrier: Carrier) -> tuple[list[UUID], datetime | None]:
    """A sweep, to its end: it notes that commands were sent, and when we are stopped before they
    are, that is taken back."""
    sweep = asyncio.ensure_future(carrier.sweep(WINDOW))
    try:
        return await asyncio.shield(sweep)
    except asyncio.CancelledError:
        try:
            ids, _ = await sweep
            await carrier.recall(ids)
        except Exception:
            log.exception("what %s was about to hand out waits", carrier.name)
        raise


async def _send(carrier: Carrier, queue: Queue, ids: Sequence[UUID]) -> None:
    try:
        await queue.send(ids)
    except Unavailable:
        await carrier.recall(ids)
        raise


async def _recall_all(carrier: Carrier) -> None:
    try:
        await carrier.recall()
    except Unavailable as exc:
        log.warning("what was on its way in %s waits: %s", carrier.name, exc.detail)


async def _once(carrier: Carrier) -> bool:
    ids, _ = await carrier.sweep(WINDOW)
    return any([await carrier.carry_out(id_) for id_ in ids])


async def _now_and_then(carrier: Carrier, do: Errand, trouble: str) -> None:
    """Three times in a lease, whatever became of the time before."""
    while True:
        await asyncio.sleep(carrier.lease.total_seconds() / 3)
        try:
            await do()
        except Unavailable as exc:
            log.warning("%s %s: %s", carrier.name, trouble, exc.detail)
        except Exception:
            log.exception("%s %s, and tries again", carrier.name, trouble)
