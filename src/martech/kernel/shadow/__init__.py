"""Makes a projection anew beside the one in use, and puts it in its place.

    an empty shadow ─▶ it hears everything from 0 ─▶ it has caught up ─▶ swapped
            │                    │                          ▲    │
            │                    │                          └────┘ somebody was in the way
            ▼                    ▼
      killed, cancelled or refused: what is in use was not touched; the next one begins again

The live subscription goes on all the time, but for the moment of the swap. Nothing is told and
nothing is done outside; commands that are inward are taken over with the swap.
"""

import asyncio
from collections.abc import Callable
from typing import Literal

from martech.kernel import failpoints
from martech.kernel.errors import NotFound
from martech.kernel.host import Host
from martech.kernel.shadow.delivery import ShadowDelivery
from martech.kernel.shadow.schema import Shadow
from martech.kernel.shadow.swap import swap

__all__ = ["Stage", "abandon", "rebuild"]

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
    delivery = ShadowDelivery(host, shadow, **limits)
    async with shadow.there():
        await delivery.begin()
        while True:
            moved = await delivery.step()
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
