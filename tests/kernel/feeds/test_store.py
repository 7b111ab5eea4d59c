"""A module that keeps its cursors in a store hears of a peer as it does of a neighbour."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn
from msgspec.structs import replace

from martech.kernel.auth import Follower, Keyring
from martech.kernel.bus import Bus
from martech.kernel.cursors import UNKNOWN, Cursor, Place
from martech.kernel.errors import Unavailable
from martech.kernel.host import Host
from martech.kernel.http.application import application
from martech.kernel.settings import Settings
from martech.modules.analytics.module import module as analytics
from martech.modules.profiles.contract import ActivityRecorded
from tests import databases
from tests.chaos.loads import set_aside
from tests.kernel.feeds.children import SECRET, listener
from tests.modules.analytics.counting import did, settings, tell
from tests.neighbours import neighbour
from tests.servers import free_port

pytestmark = pytest.mark.anyio

NEIGHBOURS = [neighbour("profiles"), neighbour("delivery")]


@asynccontextmanager
async def serving(there: Settings) -> AsyncIterator[Host]:
    """Whom analytics listens to, served to their peers."""
    host = Host(NEIGHBOURS, there)
    app = application(host, Keyring(), Follower(Keyring(), None, host.clock))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="on", log_config=None, access_log=False))
    with listener(there) as taken:
        running = asyncio.create_task(server.serve([taken]))
        while not server.started:  # noqa: ASYNC110 - one turn of the loop
            await asyncio.sleep(0)
        try:
            yield host
        finally:
            server.should_exit = True
            await running


async def cursor(host: Host) -> Cursor:
    subscription = host.modules["analytics"].subscriptions[0]
    assert subscription.source == "profiles"
    async with host.databases["analytics"].across(write=False) as connection:
        return await host.cursors("analytics", subscription).load(connection)


async def test_a_store_hears_of_a_peer_and_waits_while_it_is_away(
    kind: str, tmp_path: Path
) -> None:
    url = databases.fresh(kind, [analytics, *NEIGHBOURS], tmp_path)
    there = Settings(database_url=url, peer_secret=SECRET, port=free_port())
    peers = {module.name: there.public for module in NEIGHBOURS}
    here = replace(settings(url, tmp_path), peers=peers, peer_secret=SECRET)
    async with Host([analytics], here) as host:
        bus = Bus(host)
        with pytest.raises(Unavailable):
            await bus.settle()
        assert await cursor(host) == Cursor(Place(0, 0), UNKNOWN)
        async with serving(there) as neighbours:
            await tell(neighbours, "profiles", ActivityRecorded(items=[did(1, "ada")]))
            await bus.settle()
            await tell(neighbours, "profiles", ActivityRecorded(items=[did(2, "ada")]))
            await bus.settle()
        assert await cursor(host) == Cursor(Place(2, 0), 1), "the first of them was the past"
        with pytest.raises(Unavailable):
            await bus.settle()
        assert await set_aside(host, "analytics") == []
