"""The street: an outside world that can be jammed, closed, and torn up."""

import asyncio

from martech.kernel.errors import Unavailable
from martech.kernel.grouping import Groups


class Street:
    def __init__(self, groups: Groups) -> None:
        self.clear = asyncio.Event()
        self.clear.set()
        self.closed = False
        self.torn_up = False
        self.underway: asyncio.Queue[int] = asyncio.Queue()
        """Deliveries that have set out, for whoever waits to see one."""

    async def bring(self, number: int) -> None:
        self.underway.put_nowait(number)
        await self.clear.wait()
        if self.closed:
            raise Unavailable("The street is closed.", retry_after=60)
        if self.torn_up:
            raise OSError("the street is torn up")
