"""From a host to what a server runs: every route there is, in one ASGI application."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import chain

from litestar import Litestar, Router
from litestar.datastructures import State

import martech
from martech.kernel.admission import Admission
from martech.kernel.auth import Follower, Keyring
from martech.kernel.host import Host
from martech.kernel.http import openapi, pages, peers, ports, problems, replays
from martech.kernel.http.cors import Cors
from martech.kernel.http.front import Front
from martech.kernel.http.health import Numbers, Pulse, health_routes
from martech.kernel.http.requests import LARGEST_BODY, JsonRequest
from martech.kernel.http.routes import check, routes
from martech.kernel.standing import Standing
from martech.kernel.telemetry import RequestTimes


def application(
    host: Host,
    keyring: Keyring,
    follower: Follower,
    pulse: Pulse | None = None,
    request: type[JsonRequest] = JsonRequest,
    front: Front | None = None,
) -> Admission:
    """Everything that *host* serves. *pulse* is that of the bus, where one runs beside it; *front*
    is the page at `/`.

    Raises `ManifestError` if two modules claim one path, or a route says not who may call it.
    """
    times, standing, numbers = RequestTimes(), Standing(host), Numbers(keyring)
    outboxes, shadows = peers.Outboxes(host), replays.Shadows(host)
    mounted = {name: routes(host, module, keyring) for name, module in host.modules.items()}
    mounted["the kernel"] = [
        health_routes(host, standing, numbers, times, pulse),
        pages.routes(
            standing,
            list(host.modules.values()),
            lambda: described(host),
            martech.__version__,
            host.settings.public,
            front,
        ),
        peers.outbox_routes(outboxes, host.settings.peer_secret),
        ports.port_routes(host),
        replays.replay_routes(host, shadows),
        *([front.routes()] if front else []),
    ]
    check(mounted)
    app = Litestar(
        route_handlers=list(chain.from_iterable(mounted.values())),
        exception_handlers=problems.handlers(),
        request_class=request,
        state=State({"keyring": keyring, "clock": host.clock, "peers": host.peers}),
        request_max_body_size=LARGEST_BODY,
        lifespan=[_open(host, follower), outboxes.opened, shadows.opened],
        openapi_config=None,
        logging_config=None,
    )
    most = host.settings.max_requests
    numbers.admission = Admission(Cors(app), times, most, process=host.process)
    return numbers.admission


def described(host: Host) -> openapi.Schema:
    """The OpenAPI document of all modules of *host*."""

    def anew() -> list[Router]:
        modules = host.modules.values()
        return [router for module in modules for router in routes(host, module, Keyring())]

    return openapi.describe(anew, martech.__version__)


def _open(
    host: Host, follower: Follower
) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def running(app: Litestar) -> AsyncIterator[None]:
        """The host's databases are open, and the keys known, as long as requests are answered."""
        async with host:
            await follower.begin()
            issuer = host.issuer()
            topic = issuer.source if issuer else "issuer"
            with host.process.signals.listening(topic) as news:
                following = asyncio.create_task(follower.run(news), name="revocations")
                try:
                    yield
                finally:
                    following.cancel()
                    await asyncio.gather(following, return_exceptions=True)

    return running
