"""Time as a job needs it: what has passed since, and a rest with nothing in hand."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")


class Running:
    """One a host, so what a lane learned the next one knows."""

    def __init__(self) -> None:
        self.batch = 16
        """Mails that could be handed over in time, lately."""

    def now(self) -> float:
        """Seconds since some moment; no change of the clock moves it."""
        return asyncio.get_running_loop().time()

    async def rest(self, seconds: float) -> None:
        """Let others run meanwhile."""
        await asyncio.sleep(seconds)

    async def finished(self, story: Coroutine[object, object, T]) -> T:
        """Wait for *story* to its end, even when we are cancelled; then be cancelled."""
        task = asyncio.ensure_future(story)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise
