"""The in-process event bus: it carries what outboxes hold to those who wait for it."""

import asyncio
import logging
from typing import Any

from martech.kernel.bus.delivery import Delivery
from martech.kernel.bus.stored import StoredDelivery
from martech.kernel.errors import Unavailable
from martech.kernel.host import Host
from martech.kernel.trouble import Trouble

__all__ = ["Bus", "Delivery", "StoredDelivery", "given_to"]

log = logging.getLogger(__name__)

POLL = 1.0  # seconds, when nobody wakes us
GIVEN = 0.002  # seconds of rest a request, up to half of the time: the loops share an interpreter
SHORTEST_WAIT, LONGEST_WAIT = 0.1, 5.0  # seconds between looks while something is away


class Bus:
    """All subscriptions of a host, each on its own: a slow one holds up nobody."""

    def __init__(
        self,
        host: Host,
        *,
        delivery: type[Delivery] = Delivery,
        stored: type[StoredDelivery] = StoredDelivery,
        **limits: Any,
    ) -> None:
        """*limits* are those of `Delivery`: patience, batch, deadline, shortest, retrying. *stored*
        is for the subscriptions of modules that have a store."""
        self.host = host
        self.deliveries = [
            (stored if module.store else delivery)(host, name, subscription, **limits)
            for name, module in host.modules.items()
            for subscription in module.subscriptions
        ]

    async def run(self) -> None:
        """Deliver until cancelled. A transaction that has begun is finished first, if it is in
        time."""
        async with asyncio.TaskGroup() as tasks:
            for delivery in self.deliveries:
                tasks.create_task(self._follow(delivery), name=delivery.name)
            for source in {delivery.feed.source for delivery in self.deliveries}:
                tasks.create_task(self._watch(source), name=f"watch {source}")

    async def _watch(self, source: str) -> None:
        """Wake who listens to *source*, for ever: whatever a feed stumbles over, those who listen
        poll, and it is no reason for the process to end."""
        while True:
            try:
                await self.host.feed(source).watch(lambda: self.host.process.signals.wake(source))
            except Exception:
                log.exception("%s cannot be watched, polling instead", source)
            await asyncio.sleep(LONGEST_WAIT)

    async def settle(self) -> None:
        """Deliver until nothing moves; what is set aside for later stays."""
        while any([await delivery.step() for delivery in self.deliveries]):
            pass

    async def _follow(self, delivery: Delivery) -> None:
        pause, trouble, loop = 0.0, Trouble(log), asyncio.get_running_loop()
        with self.host.process.signals.listening(delivery.feed.source) as news:
            while True:
                news.clear()
                began, asked = loop.time(), self.host.process.asked
                try:
                    handled = await _to_a_commit(delivery)
                    pause = 0.0
                    trouble.ends(f"{delivery.name} goes on")
                    if handled:
                        took = loop.time() - began
                        given = given_to(self.host.process.asked - asked, took)
                        rest = delivery.rest(handled) - took if delivery.had_room(handled) else 0.0
                        await asyncio.sleep(max(rest, given))
                        continue
                except Unavailable as exc:
                    pause = _longer(pause)
                    trouble.begins(f"{delivery.name} waits", exc.detail)
                except Exception:
                    pause = _longer(pause)
                    log.exception("%s stumbled and tries again", delivery.name)
                if pause:  # that more is told says nothing of what is away
                    await asyncio.sleep(pause)
                    continue
                try:
                    async with asyncio.timeout(POLL):
                        await news.wait()
                except TimeoutError:
                    continue


def given_to(requests: int, took: float) -> float:
    """Seconds to rest behind *took* seconds of work during which so many *requests* came."""
    return min(took, GIVEN * requests)


def _longer(pause: float) -> float:
    return min(max(pause * 2, SHORTEST_WAIT), LONGEST_WAIT)


async def _to_a_commit(delivery: Delivery) -> int:
    """One step, which a cancellation breaks off between two transactions; or where it is, if that
    takes too long. What did not commit is told again."""
    step = asyncio.ensure_future(delivery.step())
    try:
        return await asyncio.shield(step)
    except asyncio.CancelledError:
        delivery.ending = True
        await asyncio.wait([step], timeout=delivery.host.settings.drain_seconds)
        step.cancel()
        await asyncio.gather(step, return_exceptions=True)
        delivery.ending = False
        raise
