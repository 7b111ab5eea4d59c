"""Answers that go on: a view, and again whenever it is another, as server-sent events.

A handler asks for ``watch``. Each look is a short unit of work that reads; between looks nothing
is held. A stream ends when the caller goes, when what it watches is over, or when the server stops;
a client then asks again, as `EventSource` does by itself.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec
from litestar import Request, Response
from litestar.response import Stream

from martech.kernel.auth import Principal
from martech.kernel.errors import Error, Unavailable
from martech.kernel.host import Host
from martech.kernel.messages import View

S = TypeVar("S")
V = TypeVar("V", bound=View)

LOOK = 0.25  # seconds between looks
HEARTBEAT = 15.0  # seconds after which a silent stream says that it is there
LONGEST = 600.0  # seconds; then the client asks again, with a key that must still hold
RETRY = 1000  # milliseconds until it does


class Watch(Generic[S]):
    """Looks at one module for one tenant, as often as it is told to."""

    def __init__(self, host: Host, module: str, principal: Principal) -> None:
        self._host, self._module, self._principal = host, module, principal

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
        until it is *over* or gone. Raises what *question* raises at the first look."""
        view = await self.first(question)
        return Stream(
            self._chunks(question, view, over),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    async def _chunks(
        self, question: Callable[[S], Awaitable[V]], view: V, over: Callable[[V], bool]
    ) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        began = said = loop.time()
        number, data = 1, msgspec.json.encode(view)
        yield _event(number, data)
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
                yield _event(number, data)
            elif loop.time() - said > HEARTBEAT:
                said = loop.time()
                yield b": still here\n\n"


def _event(number: int, data: bytes) -> bytes:
    return b"id: %d\nretry: %d\ndata: %b\n\n" % (number, RETRY, data)


def watch_of(host: Host, module: str) -> Callable[[Request[Any, Any, Any]], Watch[Any]]:
    """The dependency ``watch``."""

    def watch(request: Request[Any, Any, Any]) -> Watch[Any]:
        return Watch(host, module, request.auth)

    return watch
