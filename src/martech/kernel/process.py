"""What the hosts of one process share: who is to be woken, whose turn it is to write, stores, and
what was asked of peers.

``martech serve`` has two hosts on two event loops (HTTP; bus and jobs). Every object
here may be used from either loop.
"""

import asyncio
import contextlib
import threading
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from uuid import UUID

from martech.kernel.remote import Calls
from martech.kernel.store import Stores
from martech.kernel.telemetry import Recorder

ENDING = "the end"
"""The topic that wakes whoever would wait for ever."""


class Signals:
    """Wakes those who wait for news of a module: an outbox that grew, a command that is due."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[str, list[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = (
            defaultdict(list)
        )

    @contextmanager
    def listening(self, *topics: str) -> Iterator[asyncio.Event]:
        """An event that is set, on the loop that asks, whenever one of *topics* has news."""
        entry = asyncio.get_running_loop(), asyncio.Event()
        with self._lock:
            for topic in topics:
                self._listeners[topic].append(entry)
        try:
            yield entry[1]
        finally:
            with self._lock:
                for topic in topics:
                    self._listeners[topic].remove(entry)

    def wake(self, topic: str) -> None:
        with self._lock:
            listeners = list(self._listeners[topic])
        for loop, event in listeners:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)


class Turn:
    """First come, first served, across event loops.

    SQLite lets one transaction write at a time. Left to itself it has the others poll, and
    a busy writer starves a patient one; in one process we can queue instead.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy = False
        self._queue: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        await self._take()
        try:
            yield
        finally:
            self._pass_on()

    async def _take(self) -> None:
        with self._lock:
            if not self._busy:
                self._busy = True
                return
            loop = asyncio.get_running_loop()
            mine: asyncio.Future[None] = loop.create_future()
            self._queue.append((loop, mine))
        try:
            await mine
        except asyncio.CancelledError:
            self._leave(mine)
            raise

    def _leave(self, mine: asyncio.Future[None]) -> None:
        """Leave the queue; a turn that was given in the same moment goes to the next."""
        with self._lock:
            waiting = [entry for entry in self._queue if entry[1] is mine]
            if waiting:
                self._queue.remove(waiting[0])
        if not waiting:
            self._pass_on()

    def _pass_on(self) -> None:
        with self._lock:
            while self._queue:
                loop, future = self._queue.popleft()
                if loop.is_closed():
                    continue
                loop.call_soon_threadsafe(_give, future)
                return
            self._busy = False


def _give(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Process:
    """One a process; handed to every host in it."""

    def __init__(self, recorder: Recorder | None = None) -> None:
        """*recorder* takes the spans of what is done here; without one there are none."""
        self.signals = Signals()
        self.stores = Stores()
        self.recorder = recorder
        self.calls = Calls()
        self.asked = 0
        """Requests so far. The HTTP loop counts; the bus looks whether it grows."""

        self.streams: Counter[UUID] = Counter()
        """Answers that go on, at this moment, of each tenant. The HTTP loop counts."""

        self._ending = False
        self._lock = threading.Lock()
        self._turns: dict[str, Turn] = {}

    def end(self) -> None:
        """Whatever goes on without an end is to stop now."""
        self._ending = True
        self.signals.wake(ENDING)

    @property
    def ending(self) -> bool:
        return self._ending

    async def ends_within(self, seconds: float) -> bool:
        """Wait for *seconds*, or until the process is to end; whether it is."""
        with self.signals.listening(ENDING) as news:
            if not self._ending:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await news.wait()
        return self._ending

    def turn(self, file: str) -> Turn:
        """The queue of writers of one SQLite file."""
        with self._lock:
            return self._turns.setdefault(file, Turn())
