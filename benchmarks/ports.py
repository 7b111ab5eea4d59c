"""What it costs to ask a module that is a process of its own."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from uuid import UUID

from benchmarks.load import percentile
from benchmarks.platform import Platform, platform
from benchmarks.questions import Answer
from martech.app import load
from martech.kernel.host import Host
from martech.kernel.settings import Settings
from martech.modules.access.contract import Access

SECRET = "peers-of-a-benchmark-0123456789"
WARM = 50
"""Questions before it counts: connections, statements, caches."""


def ports(kind: str, seconds: float) -> Answer:
    """A question that reads one row, one after the other, of a peer and of a module here."""
    settings = {"MARTECH_PEER_SECRET": SECRET, "MARTECH_MODULES": "access"}
    with platform(kind, settings=settings) as running:
        here, there = asyncio.run(_both(running, seconds / 2))
    p50, p99 = percentile(there, 0.5), percentile(there, 0.99)
    alone = f"p50 {percentile(here, 0.5)} ms, p99 {percentile(here, 0.99)} ms"
    return Answer(
        "a port of a peer, on loopback",
        kind,
        "p99 ≤ 5 ms",
        f"p50 {p50} ms, p99 {p99} ms",
        p99 <= 5,
        f"{alone} (in one process)",
        {"asked_here": len(here), "asked_there": len(there)},
    )


async def _both(running: Platform, seconds: float) -> tuple[list[float], list[float]]:
    """Seconds of each question: of a module here, and of the same as a peer."""
    tenant = UUID(running.get("/access/v1/tenant")["id"])
    url = running.environment["MARTECH_DATABASE_URL"]
    peers = {"access": f"http://127.0.0.1:{running.port}"}
    async with Host(load(["access"]), Settings(database_url=url)) as host:
        here = await _times(host.port(Access, tenant).tenant, seconds)
    async with Host([], Settings(peers=peers, peer_secret=SECRET)) as host:
        there = await _times(host.port(Access, tenant).tenant, seconds)
    return here, there


async def _times(ask: Callable[[], Awaitable[object]], seconds: float) -> list[float]:
    for _ in range(WARM):
        await ask()
    times, until = list[float](), time.perf_counter() + seconds
    while (began := time.perf_counter()) < until:
        await ask()
        times.append(time.perf_counter() - began)
    return times
