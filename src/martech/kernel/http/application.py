"""From a host to what a web server runs: routes, guards, problems, admission."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar, Router
from litestar.openapi import OpenAPIConfig
from litestar.types import ASGIApp

from martech.kernel.admission import Admission
from martech.kernel.auth import Follower, Keyring
from martech.kernel.host import Host
from martech.kernel.http import problems
from martech.kernel.http.guards import guard
from martech.kernel.http.health import Numbers, Pulse, health_routes
from martech.kernel.http.requests import JsonRequest
from martech.kernel.http.routes import check, routes
from martech.kernel.standing import Standing
from martech.kernel.telemetry import RequestTimes

LARGEST_BODY = 1_000_000
"""Bytes; a protocol that allows less says so itself."""


def application(host: Host, keyring: Keyring, follower: Follower, pulse: Pulse | None) -> ASGIApp:
    """Everything that *host* serves. Raises `ManifestError` if two claim one path."""
    numbers, times = Numbers(keyring), RequestTimes()
    mounted = {name: routes(host, module, keyring) for name, module in host.modules.items()}
    mounted["kernel"] = [health_routes(host, Standing(host), numbers, pulse)]
    check(mounted)
    handlers: list[Router] = [router for routers in mounted.values() for router in routers]
    app = Litestar(
        route_handlers=handlers,
        guards=[guard(keyring, host.clock)],
        exception_handlers=problems.handlers(),
        request_class=JsonRequest,
        request_max_body_size=LARGEST_BODY,
        lifespan=[_running(host, follower)],
        openapi_config=OpenAPIConfig(title="martech", version="1"),
    )
    admitted = Admission(app, times, host.settings.max_requests)
    numbers.admission = admitted
    return admitted


def _running(host: Host, follower: Follower):  # type: ignore[no-untyped-def]
    @asynccontextmanager
    async def running(app: Litestar) -> AsyncIterator[None]:
        """The host's databases are open, and the keys known, as long as requests are answered."""
        async with host:
            following = asyncio.create_task(follower.run(), name="revocations")
            try:
                yield
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)

    return running
