"""Answers that go on: a view, and again whenever it is another, as server-sent events.

A handler asks for ``watch``. Each look is a short unit of work that reads; between looks nothing
is held. A stream ends when the caller goes, when what it watches is over, or when the server stops;
a client then asks again, as `EventSource` does by itself.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec
from litestar import Request, Response
from litestar.response import Stream

from martech.kernel.auth import Principal
from martech.kernel.errors import Error, TooMany, Unavailable
from martech.kernel.host import Host
from martech.kernel.messages import View
from martech.kernel.process import Process

S = TypeVar("S")
V = TypeVar("V", bound=View)

LOOK = 0.25  # seconds between looks
MOST = 128
"""Streams of a process at once, half of them of one tenant: each looks four times a second, and
holds a place among the requests in progress."""

HEARTBEAT = 15.0  # seconds after which a silent stream says that it is there
LONGEST = 600.0  # seconds; then the client asks again, with a key that must still hold
RETRY = 1000  # milliseconds until it does


Asked = tuple[UUID, Hashable]


class Looks:
    """Many who ask the same at once cause one look.

    Whoever asks is answered from a look that began afterwards, so everybody sees what was committed
    before they asked; those who come while one is under way share the next.
    """

    def __init__(self) -> None:
        self._next: dict[Asked, asyncio.Task[Any]] = {}
        self._under_way: dict[Asked, asyncio.Task[Any]] = {}

    async def shared(self, asked: Asked, look: Callable[[], Awaitable[V]]) -> V:
        """Raises what *look* raises."""
        task = self._next.get(asked)
        if task is None:
            before = self._under_way.get(asked)
            task = asyncio.create_task(self._look(asked, look, before))
            self._next[asked] = task
        answer: V = await asyncio.shield(task)
        return answer

    async def _look(
        self, asked: Asked, look: Callable[[], Awaitable[V]], before: "asyncio.Task[Any] | None"
    ) -> V:
        if before is not None:
            await asyncio.wait([before])
        mine = self._under_way[asked] = self._next.pop(asked)
        try:
            return await look()
        finally:
            if self._under_way.get(asked) is mine:
                del self._under_way[asked]


class Watch(Generic[S]):
    """Looks at one module for one tenant, as often as it is told to."""

    def __init__(self, host: Host, module: str, principal: Principal, looks: Looks) -> None:
        self._host, self._module, self._principal = host, module, principal
        self._looks = looks

    async def shared(self, what: Hashable, question: Callable[[S], Awaitable[V]]) -> V:
        """One look for all who ask for *what* of this tenant at once; *question* is a read that
        does not depend on who asks. Raises what *question* raises."""
        return await self._looks.shared(
            (self._principal.tenant, what), lambda: self.first(question)
        )

    async def first(self, question: Callable[[S], Awaitable[V]]) -> V:
        """One look. Raises what *question* raises."""
        tenant: UUID = self._principal.tenant
        async with self._host.unit(
            self._module, tenant, write=False, principal=self._principal
        ) as service:
            return await question(service)

    async def events(
        self, question: Callable[[S], Awaitable[V]], *, over: Callable[[V], bool]
    ) -> Response[Any]:
        """``text/event-stream``: the view as JSON in ``data``, at once and whenever it changes,
        until it is *over* or gone. Raises what *question* raises at the first look, and `TooMany`
        when there is no `place`."""
        return await begun(self._chunks(question, over))

    async def _chunks(
        self, question: Callable[[S], Awaitable[V]], over: Callable[[V], bool]
    ) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        with place(self._host.process, self._principal.tenant):
            view = await self.first(question)
            yield BEGUN
            began = said = loop.time()
            number, data = 1, msgspec.json.encode(view)
            yield event(number, data)
            while not over(view) and loop.time() - began < LONGEST:
                if await self._host.process.ends_within(LOOK):
                    return
                try:
                    view = await self.first(question)
                except Unavailable:
                    continue  # the heartbeat says that we are still there
                except Error:
                    return  # it is gone; whoever asks again is told so
                latest = msgspec.json.encode(view)
                if latest != data:
                    number, data, said = number + 1, latest, loop.time()
                    yield event(number, data)
                elif loop.time() - said > HEARTBEAT:
                    said = loop.time()
                    yield STILL_HERE


STILL_HERE = b": still here\n\n"
BEGUN = b""
"""The first chunk, for `begun`: there was a place, and there is something to show."""


@contextmanager
def place(process: Process, tenant: UUID) -> Iterator[None]:
    """Among the answers that go on, while the block runs. Raises `TooMany` when the process has
    `MOST` of them, or the tenant half of that: so it keeps nobody else out."""
    streams = process.streams
    if streams.total() >= MOST or streams[tenant] >= MOST // 2:
        raise TooMany("Too many streams are open; ask for the status itself.", retry_after=5)
    streams[tenant] += 1
    try:
        yield
    finally:
        streams[tenant] -= 1
        if not streams[tenant]:
            del streams[tenant]


async def begun(chunks: AsyncIterator[bytes]) -> Response[Any]:
    """The answer that *chunks* are. They are begun before it is given: so they hold their place
    from here on, and give it back whatever becomes of the answer, though nobody should listen.
    Raises what comes before `BEGUN`."""
    await anext(chunks)
    return Stream(
        chunks,
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


def event(number: int, data: bytes) -> bytes:
    """*data* is one line; *number* is what a client that was broken off names."""
    return b"id: %d\nretry: %d\ndata: %b\n\n" % (number, RETRY, data)


def watch_of(host: Host, module: str) -> Callable[[Request[Any, Any, Any]], Watch[Any]]:
    """The dependency ``watch``."""
    looks = Looks()

    def watch(request: Request[Any, Any, Any]) -> Watch[Any]:
        return Watch(host, module, request.auth, looks)

    return watch
