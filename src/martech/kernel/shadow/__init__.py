"""Makes a projection anew beside the one in use, and puts it in its place.

    an empty shadow ─▶ it hears everything from 0 ─▶ it has caught up ─▶ swapped
            │                    │                          ▲    │
            │                    │                          └────┘ somebody was in the way
            ▼                    ▼
      killed, cancelled or refused: what is in use was not touched; the next one begins again

The live subscription goes on all the time, but for the moment of the swap. Nothing is told and
nothing is done outside; commands that are inward are taken over with the swap. Who asks meanwhile
is given way to, as the bus does; where requests are answered, it is made on a loop of its own.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Literal

from martech.kernel import failpoints
from martech.kernel.bus import given_to
from martech.kernel.errors import NotFound
from martech.kernel.host import Host
from martech.kernel.shadow.delivery import ShadowDelivery
from martech.kernel.shadow.schema import Shadow
from martech.kernel.shadow.swap import swap

__all__ = ["Seen", "Stage", "abandon", "rebuild", "rebuild_apart"]

PAUSE = 0.1  # seconds until we look again, when the live one or a reader is in the way

Seen = Callable[[int, int], None]

Stage = Literal["making", "swapping", "swapped"]
"""Who breaks it off while it is swapping does not know which of both is in use."""


def _unwatched(stage: Stage) -> None: ...


async def rebuild(
    host: Host,
    name: str,
    seen: Seen,
    now: Callable[[Stage], None] = _unwatched,
    **limits: float,
) -> int:
    """Make the projection of ``<module>.<subscription>`` anew and swap it in; how many commands
    were not given outside.

    *seen* is told again and again which position was reached, and which is the live one's, and
    *now* whenever another stage begins; the first is making. *limits* are those of `Delivery`.
    Raises `NotFound`, and `Conflict` with nothing changed.
    """
    shadow = _shadow(host, name)
    delivery, clock = ShadowDelivery(host, shadow, **limits), asyncio.get_running_loop().time
    async with shadow.there():
        await delivery.begin()
        while True:
            began, asked = clock(), host.process.asked
            moved = await delivery.step()
            took = clock() - began
            seen(delivery.reached.position, delivery.end.position)
            await failpoints.reach("shadow.after_step")
            if not moved:
                if await delivery.is_ready():
                    now("swapping")
                    if await swap(shadow, delivery):
                        now("swapped")
                        await failpoints.reach("shadow.after_commit")
                        return shadow.database.dropped
                    now("making")
                await asyncio.sleep(PAUSE)
            else:
                await asyncio.sleep(given_to(host.process.asked - asked, took))


async def rebuild_apart(host: Host, name: str, seen: Seen) -> int:
    """As `rebuild`, in a thread with an event loop and a host of its own: a handler that computes
    over a whole batch would hold up everybody on the caller's. *seen* is told on the caller's.

    Whoever is cancelled waits until it is given up.
    """
    here = asyncio.get_running_loop()
    begun: asyncio.Future[Callable[[], object]] = here.create_future()

    def told(reached: int, end: int) -> None:
        here.call_soon_threadsafe(seen, reached, end)

    async def make() -> int:
        task = asyncio.ensure_future(_by_own_host(host, name, told))
        give_up = partial(asyncio.get_running_loop().call_soon_threadsafe, task.cancel)
        here.call_soon_threadsafe(begun.set_result, give_up)
        return await task

    with ThreadPoolExecutor(1, f"shadow of {name}") as thread:
        making = here.run_in_executor(thread, asyncio.run, make())
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            give_up = await begun
            with suppress(RuntimeError):  # it has ended in this moment
                give_up()
            await asyncio.gather(making, return_exceptions=True)
            raise


async def _by_own_host(host: Host, name: str, seen: Seen) -> int:
    modules = list(host.modules.values())
    async with Host(modules, host.settings, clock=host.clock, process=host.process) as own:
        return await rebuild(own, name, seen)


async def abandon(host: Host, name: str) -> None:
    """Remove what a killed `rebuild` left behind. Raises `NotFound`, and `Conflict` while one is
    at work."""
    await _shadow(host, name).remove()


def _shadow(host: Host, name: str) -> Shadow:
    there = {
        f"{module.name}.{projection.of.name}": (module.name, projection)
        for module in host.modules.values()
        for projection in module.projections
    }
    if name not in there:
        named = ", ".join(sorted(there)) or "none"
        raise NotFound(f"{name!r} is no projection that can be made anew. There are: {named}.")
    module, projection = there[name]
    return Shadow(host.databases[module], projection)
