"""M17: PostgreSQL is restarted again and again under load; nothing is lost, nothing is there twice,
and nobody else is restarted for it.

It ends in turn as it should (it hangs up on everybody) and as it should not (it is broken off, and
recovers what was committed when it begins). `make test` restarts it a few times under the sample,
`make chaos` every 5 to 40 seconds, and under the whole product as well.
"""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import pytest
from sqlalchemy.exc import SQLAlchemyError

from martech.kernel import migrate
from martech.kernel.bus import Bus
from martech.kernel.errors import Unavailable
from martech.kernel.host import Host
from martech.kernel.settings import Settings
from tests import databases, servers, watchers
from tests.chaos.history import GuaranteeBroken, History, insist
from tests.chaos.loads import TENANT, lines, set_aside
from tests.chaos.nodes import Nodes, monolith, nodes
from tests.chaos.pools import KeepsWhatIsDead
from tests.chaos.tale import order, still
from tests.chaos.test_outage import running
from tests.chaos.worlds import world
from tests.sinks.smtp import sink

pytestmark = [pytest.mark.whole, pytest.mark.anyio, pytest.mark.timeout(3600)]

WAYS = (signal.SIGINT, signal.SIGQUIT)
"""What PostgreSQL calls a fast and an immediate shutdown."""

CLIENTS = 8
ROUND = 40
"""How much is accepted before and after each restart, at least."""

RECORDED = "profiles.activity_recorded.v1"
AGAIN = 0.02  # seconds until a client sends again what was refused

Send = Callable[[int], Awaitable[None]]
"""Raises `Unavailable` if it is to be sent again."""


@dataclass
class Restarted:
    """A PostgreSQL of a test's own."""

    server: servers.Server
    times: int = 0

    async def restart(self) -> None:
        by = WAYS[self.times % len(WAYS)]
        self.server = await asyncio.to_thread(watchers.restart, self.server, by)
        self.times += 1


@asynccontextmanager
async def own() -> AsyncIterator[Restarted]:
    found = await asyncio.to_thread(servers.find_postgres)
    made = Restarted(await asyncio.to_thread(servers.start_postgres, found))
    try:
        yield made
    finally:
        await asyncio.to_thread(watchers.stop, made.server)


@dataclass
class Clients:
    """Some who have numbers to send, and send again what was refused until it is accepted."""

    send: Send
    history: History = field(default_factory=History)
    refused: int = 0
    strange: list[str] = field(default_factory=list)
    """What nobody should be told because a database is away."""

    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.gather(*(self._one(first) for first in range(CLIENTS)))

    async def _one(self, number: int) -> None:
        while True:
            self.history.attempt(number)
            if await self._accepted(number):
                self.history.acknowledge(number)
                number += CLIENTS
            else:
                await asyncio.sleep(AGAIN)
            self._news.set()

    async def _accepted(self, number: int) -> bool:
        try:
            await self.send(number)
        except Unavailable:
            self.refused += 1
        except (SQLAlchemyError, AssertionError) as exc:
            self.strange.append(f"{type(exc).__name__}: {exc}"[:300])
        else:
            return True
        return False

    async def progress(self) -> None:
        """Until a round more is accepted. Raises `GuaranteeBroken` for what is strange."""
        wanted = len(self.history.acknowledged) + ROUND
        while len(self.history.acknowledged) < wanted and not self.strange:
            self._news.clear()
            await self._news.wait()
        if self.strange:
            raise GuaranteeBroken(f"somebody was told {self.strange[0]}")


async def disturb(database: Restarted, clients: Clients, times: int, full: bool) -> None:
    """Restart it so many times while *clients* send; at full size each time after a while."""
    chance = random.Random(times)
    sending = asyncio.create_task(clients.run())
    try:
        for _ in range(times):
            await clients.progress()
            await asyncio.sleep(chance.uniform(5, 40) if full else 0)  # the procedure, not a wait
            await database.restart()
        await clients.progress()
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending


def check(database: Restarted, clients: Clients, there: Sequence[int], wanted: int) -> None:
    """Raise `GuaranteeBroken` unless what was accepted is *there*, once."""
    insist(
        faults=database.times,
        wanted=wanted,
        tried=len(clients.history.acknowledged),
        planned=(wanted + 1) * ROUND,
        progress=clients.refused,  # a restart that nobody noticed shows nothing
    )
    clients.history.compare(there).hold()


async def outlast(kind: type[Host], restarts: int, full: bool) -> None:
    """The sample's clients and its bus on one host, which is there from the begin to the end."""
    async with own() as database:
        url = database.server.url
        for module in databases.SAMPLE:
            await migrate.upgrade(module, url, databases.sample_migrations())
        async with kind(databases.SAMPLE, Settings(database_url=url)) as host:
            bus, clients = Bus(host), Clients(partial(sell, host))
            async with running(bus):
                await disturb(database, clients, restarts, full)
            await bus.settle()
            assert not await set_aside(host)
            written = [number for _, number in await lines(host)]
    check(database, clients, written, restarts)


async def sell(host: Host, number: int) -> None:
    """What was sold before, and nobody knew, is sold once."""
    async with host.unit("shop", TENANT) as shop:
        await shop.sell([number], f"buyer {number % 50}")


async def outlive(folder: Path, restarts: int) -> None:
    """The product in a process of its own, tracked to: it lives on, and each order is one activity
    of somebody's."""
    async with own() as database, sink() as server:
        url = database.server.url
        for module in databases.product():
            await migrate.upgrade(module, url)
        settings = {"MARTECH_DATABASE_URL": url}
        async with nodes(monolith(), "postgresql", folder, server, **settings) as platform:
            clients = Clients(partial(track, platform))
            await disturb(database, clients, restarts, full=True)
            await still(platform)
            (node,) = platform.nodes
            assert node.process is not None
            assert node.process.poll() is None, node.said()[-4000:]
        told = [said for where, said in await world({"profiles": url}) if where == RECORDED]
    check(database, clients, [int(said["message_id"]) for said in told], restarts)


async def track(platform: Nodes, number: int) -> None:
    bought = order(f"p{number % 50}", str(number))
    item = {name: value for name, value in bought.items() if name != "type"}
    try:
        answer = await platform.call("POST", "/v1/track", item, platform.write_key)
    except httpx.TransportError as exc:
        raise AssertionError(f"the process hung up: {exc!r}") from exc
    if answer.status_code == 503:
        raise Unavailable(answer.text)
    assert answer.is_success, f"{answer.status_code} {answer.text}"


async def test_nothing_is_lost_or_twice_when_postgresql_is_restarted(
    tmp_path: Path, full: bool
) -> None:
    await outlast(Host, 20 if full else 4, full)
    if full:
        await outlive(tmp_path, 20)


@pytest.mark.planted
async def test_a_pool_that_keeps_dead_connections_is_found_out() -> None:
    with pytest.raises(GuaranteeBroken, match=r"somebody was told \w+Error: .*asyncpg"):
        await outlast(KeepsWhatIsDead, 4, full=False)
