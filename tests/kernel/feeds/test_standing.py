"""A peer that is away is said of the peer: the module that listens to it stands as it stood."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from martech.kernel.bus.replay import replay
from martech.kernel.clock import TestClock
from martech.kernel.cursors import UNKNOWN
from martech.kernel.host import Host
from martech.kernel.settings import Settings
from martech.kernel.standing import Standing
from tests.kernel.feeds.children import SECRET
from tests.sample.ledger.module import module as ledger
from tests.servers import free_port
from tests.serving import serve

pytestmark = pytest.mark.anyio

SUBSCRIPTIONS = ["ledger.write_sales_down", "ledger.write_price_down"]


def listening_to(url: str, port: int) -> Settings:
    """The host of the shop is at *port*."""
    peers = {"shop": f"http://127.0.0.1:{port}"}
    return Settings(database_url=url, peers=peers, peer_secret=SECRET)


async def test_who_listens_to_a_peer_that_is_away_is_available(sample_url: str) -> None:
    settings = listening_to(sample_url, free_port())
    async with serve([ledger], settings) as served:
        landing = await served.client.get("/", headers={"accept": "application/json"})
        page = (await served.client.get("/", headers={"accept": "text/html"})).text
        card = (await served.client.get("/_modules", headers={"accept": "text/html"})).text
        numbers = (await served.client.get("/metrics")).text
    (module,) = landing.json()["modules"]
    assert module["available"]
    heard = [(s["name"], s["behind"], s["parked"]) for s in module["subscriptions"]]
    assert heard == [(name, None, 0) for name in SUBSCRIPTIONS]
    assert "What shop told cannot be heard" in page
    assert "0 told · cannot hear shop" in card
    assert 'martech_module_available{module="ledger"} 1.0' in numbers
    labels = f'source="shop",subscription="{SUBSCRIPTIONS[0]}"'
    assert f"martech_bus_source_available{{{labels}}} 0.0" in numbers
    assert f"martech_bus_parked_items{{{labels}}} 0.0" in numbers
    assert "martech_bus_behind_items{" not in numbers


@dataclass
class Silent:
    port: int
    asked: int = 0


@asynccontextmanager
async def silent() -> AsyncIterator[Silent]:
    """A host that stands still: it takes connections, and answers nothing."""
    host = Silent(0)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host.asked += 1
        await reader.read()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    host.port = server.sockets[0].getsockname()[1]
    try:
        yield host
    finally:
        server.close()


async def test_a_source_that_stands_still_is_asked_once_a_look(sample_url: str) -> None:
    async with silent() as still, Host([ledger], listening_to(sample_url, still.port)) as host:
        (module,) = await Standing(host).look()
        assert module.available
        assert [each.behind for each in module.subscriptions] == [None, None]
        assert still.asked == 1


async def test_after_the_clock_was_set_back_they_are_looked_at_all_the_same(
    sample_url: str,
) -> None:
    clock = TestClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
    async with (
        silent() as still,
        Host([ledger], listening_to(sample_url, still.port), clock=clock) as host,
    ):
        standing = Standing(host)
        await standing.look()
        clock.move(timedelta(hours=-1))
        await standing.look()
        assert still.asked == 2


async def test_a_replay_before_the_source_was_ever_reached_leaves_its_end_to_be_asked(
    sample_url: str,
) -> None:
    async with Host([ledger], listening_to(sample_url, free_port())) as host:
        await replay(host, SUBSCRIPTIONS[0], 0)
        subscription = host.modules["ledger"].subscriptions[0]
        async with host.databases["ledger"].across(write=False) as connection:
            cursor = await host.cursors("ledger", subscription).load(connection)
    assert cursor.replay_until == UNKNOWN, "all that is told until then would be heard as news"
