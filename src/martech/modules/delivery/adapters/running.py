"""Time as a job needs it: what has passed since, and a rest with nothing in hand."""

import asyncio
import time
from collections.abc import Coroutine
from typing import TypeVar
from uuid import UUID

T = TypeVar("T")

FIRST = 16
"""Mails of the first batch of a send."""

SHARE = 4
"""One part in so many of this loop's time is for those whose mails are dear to write."""

REMEMBERED = 1000
"""Sends of which is known how many of their mails make a batch; the last ones."""


class Running:
    """One a host, so what a lane learned of a send the next one knows."""

    def __init__(self) -> None:
        self._batches: dict[UUID, int] = {}
        self._taken_until = 0.0

    def batch(self, send_id: UUID) -> int:
        """Mails of it that could be handed over in time, lately."""
        return self._batches.get(send_id, FIRST)

    def learn(self, send_id: UUID, batch: int) -> None:
        self._batches.pop(send_id, None)
        self._batches[send_id] = batch
        if len(self._batches) > REMEMBERED:
            del self._batches[next(iter(self._batches))]

    def now(self) -> float:
        """Seconds since some moment; no change of the clock moves it."""
        return asyncio.get_running_loop().time()

    def worked(self) -> float:
        """Seconds of the processor that this thread has had: nobody else's work is in them."""
        return time.thread_time()

    def turn(self, worked: float) -> float:
        """Seconds until the next turn of one who *worked* so long, while nobody else on this loop
        could do anything. However many they are, together they get one part in `SHARE`."""
        now = self.now()
        self._taken_until = max(now, self._taken_until) + SHARE * worked
        return self._taken_until - now

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
