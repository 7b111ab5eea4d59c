"""What only other hosts of this installation may ask: outboxes, to be heard over there.

They show the secret that all hosts share (`MARTECH_PEER_SECRET`); a host without one has no peers.
"""

import asyncio
import contextlib
import hmac
from collections.abc import Callable
from typing import Annotated, Any

from litestar import Router, get
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.params import FromPath, FromQuery, QueryParameter

from martech.kernel.errors import Forbidden, NotFound, Unauthorized
from martech.kernel.feeds import Feed
from martech.kernel.feeds.http import WAIT, Head, Waiting
from martech.kernel.host import Host
from martech.kernel.http.guards import key_of
from martech.kernel.outbox import Recorded

PEERS = {"public": True}
"""No key of a tenant opens these; `only_peers` guards them."""

LOOK = 1.0  # seconds between looks for what a process beside this one has told

After = Annotated[int, QueryParameter(ge=0)]
Items = Annotated[int, QueryParameter(ge=1, le=10_000)]
Wait = Annotated[float, QueryParameter(ge=0, le=WAIT)]


def only_peers(secret: str) -> Callable[..., None]:
    """A guard that lets in who shows *secret*."""

    def check(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        if not secret:
            raise Forbidden("This host has no peers. Set MARTECH_PEER_SECRET on all of them.")
        shown = key_of(connection.headers.get("authorization")) or ""
        if not hmac.compare_digest(shown.encode(), secret.encode()):
            raise Unauthorized("That is not the secret of this installation's peers.")

    return check


class Outboxes:
    """The outboxes of the modules that are hosted here."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def feed(self, module: str) -> Feed:
        if module not in self._host.modules:
            there = ", ".join(self._host.modules)
            raise NotFound(f"{module} is not hosted here; {there} are. Check MARTECH_PEERS.")
        return self._host.feed(module)

    async def news(self, module: str, after: int, wait: float) -> int:
        """The last position of all, as soon as it is not *after* any more."""
        loop, source = asyncio.get_running_loop(), self.feed(module).source
        until = loop.time() + wait
        with self._host.process.signals.listening(source) as told:
            while True:
                told.clear()
                latest, left = await self._host.told(source), until - loop.time()
                if latest != after or left <= 0 or await self._host.process.ends_within(0):
                    return latest
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left, LOOK)):
                        await told.wait()


def outbox_routes(host: Host) -> Router:
    outboxes = Outboxes(host)

    @get("/{module:str}", opt=PEERS)
    async def read(
        module: FromPath[str], types: FromQuery[str], after: After = 0, items: Items = 500
    ) -> list[Recorded]:
        return await outboxes.feed(module).read(after=after, types=types.split(","), items=items)

    @get("/{module:str}/head", opt=PEERS)
    async def head(module: FromPath[str], types: FromQuery[str]) -> Head:
        return Head(await outboxes.feed(module).head(types.split(",")))

    @get("/{module:str}/waiting", opt=PEERS)
    async def waiting(module: FromPath[str], types: FromQuery[str], after: After = 0) -> Waiting:
        behind = await outboxes.feed(module).waiting(after=after, types=types.split(","))
        return Waiting(behind)

    @get("/{module:str}/news", opt=PEERS)
    async def news(module: FromPath[str], after: After = 0, wait: Wait = 0.0) -> Head:
        return Head(await outboxes.news(module, after, wait))

    return Router(
        path="/_outbox",
        route_handlers=[read, head, waiting, news],
        guards=[only_peers(host.settings.peer_secret)],
        include_in_schema=False,
    )
