"""What only other hosts of this installation may ask: outboxes, to be heard over there.

They show the secret that all hosts share (`MARTECH_PEER_SECRET`); a host without one has no peers.
"""

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any

from litestar import Litestar, Response, Router, get
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.params import FromPath, FromQuery, QueryParameter

from martech.kernel.errors import Forbidden, NotFound, Unauthorized
from martech.kernel.feeds import Feed
from martech.kernel.feeds.http import WAIT, Head, Waiting, packed
from martech.kernel.host import Host
from martech.kernel.http.guards import key_of
from martech.kernel.http.mounted import Mounted
from martech.kernel.process import ENDING

PEERS = {"public": True}
"""No key of a tenant opens these; `only_peers` guards them."""

WAITS = {**PEERS, "waits": True}
"""Answered when there is something to say: how long that takes says nothing."""

LOOK = 1.0  # seconds between looks that nobody called for
MSGPACK = "application/vnd.msgpack"

After = Annotated[int, QueryParameter(ge=0)]
Items = Annotated[int, QueryParameter(ge=1, le=10_000)]
Wait = Annotated[float, QueryParameter(ge=0)]


def only_peers(secret: str) -> Callable[..., None]:
    """A guard that lets in who shows *secret*."""

    def check(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        if not secret:
            raise Forbidden(
                "This host has no secret to ask for. Set MARTECH_PEER_SECRET and start it anew."
            )
        shown = key_of(connection.headers.get("authorization")) or ""
        if not hmac.compare_digest(shown.encode(), secret.encode()):
            raise Unauthorized(
                "That is not the secret of this installation's peers. Set the same "
                "MARTECH_PEER_SECRET on every host."
            )

    return check


class Outboxes:
    """The outboxes of the modules that are hosted here."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._watching: dict[str, asyncio.Task[None]] = {}

    def feed(self, module: str) -> Feed:
        if module not in self._host.modules:
            there = ", ".join(self._host.modules)
            raise NotFound(f"{module} is not hosted here; {there} are. Check MARTECH_PEERS.")
        return self._host.feed(module)

    async def news(self, module: str, after: int, wait: float) -> int:
        """The last position of all, as soon as it is not *after* any more; what it is after *wait*
        seconds, or when the process is to end."""
        feed, process, loop = self.feed(module), self._host.process, asyncio.get_running_loop()
        self._watch(feed)
        until = loop.time() + min(wait, WAIT)
        with process.signals.listening(module, ENDING) as told:
            while True:
                told.clear()
                latest, left = await self._host.told(module), until - loop.time()
                if latest != after or left <= 0 or process.ending:
                    return latest
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left, LOOK)):
                        await told.wait()

    @asynccontextmanager
    async def opened(self, app: Litestar) -> AsyncIterator[None]:
        try:
            yield
        finally:
            for task in self._watching.values():
                task.cancel()
            await asyncio.gather(*self._watching.values(), return_exceptions=True)

    def _watch(self, feed: Feed) -> None:
        """From the first question on, hear what a process beside this one tells."""
        if feed.source not in self._watching:
            wake = partial(self._host.process.signals.wake, feed.source)
            watching = asyncio.create_task(feed.watch(wake), name=f"watch {feed.source}")
            self._watching[feed.source] = watching


def outbox_routes(outboxes: Outboxes, secret: str) -> Router:
    @get("/{module:str}", opt=PEERS)
    async def read(
        module: FromPath[str], types: FromQuery[str], after: After = 0, items: Items = 500
    ) -> Response[bytes]:
        feed = outboxes.feed(module)
        page = await feed.read(after=after, types=types.split(","), items=items)
        return Response(packed(page), media_type=MSGPACK)

    @get("/{module:str}/head", opt=PEERS)
    async def head(module: FromPath[str], types: FromQuery[str]) -> Head:
        return Head(await outboxes.feed(module).head(types.split(",")))

    @get("/{module:str}/waiting", opt=PEERS)
    async def waiting(module: FromPath[str], types: FromQuery[str], after: After = 0) -> Waiting:
        behind = await outboxes.feed(module).waiting(after=after, types=types.split(","))
        return Waiting(behind)

    @get("/{module:str}/news", opt=WAITS)
    async def news(module: FromPath[str], after: After = 0, wait: Wait = 0.0) -> Head:
        return Head(await outboxes.news(module, after, wait))

    return Mounted(
        path="/_outbox",
        route_handlers=[read, head, waiting, news],
        guards=[only_peers(secret)],
        include_in_schema=False,
    )
