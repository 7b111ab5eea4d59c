"""R9: two instances of the same modules are restarted in turn under load: no request fails, nothing
is lost, nothing is there twice.

`make test` restarts each once, `make chaos` one every 20 seconds. Analytics stays out: its store
lets one process in.
"""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import httpx
import pytest

from martech.app import installed
from tests import servers
from tests.chaos.history import GuaranteeBroken, History, insist
from tests.chaos.nodes import Node, Nodes, nodes
from tests.chaos.tale import order, still
from tests.chaos.worlds import world
from tests.sinks.smtp import sink

pytestmark = [pytest.mark.whole, pytest.mark.anyio, pytest.mark.timeout(3600)]

MODULES = [name for name in installed() if name != "analytics"]
CLIENTS = 16
ROUND = 200
"""How much is answered before and after each restart, at least."""

RECORDED = "profiles.activity_recorded.v1"


@dataclass
class Balancer:
    """Asks the instances in turn, each time on a connection of its own. Whoever refuses a
    connection is passed over; what has been sent to one is never sent to another."""

    instances: list[Node]
    client: httpx.AsyncClient
    passed_over: int = 0
    _turn: Iterator[int] = field(default_factory=count)

    async def send(self, method: str, path: str, body: object, key: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"}
        first = next(self._turn)
        for number in range(first, first + len(self.instances)):
            url = self.instances[number % len(self.instances)].url + path
            try:
                return await self.client.request(method, url, json=body, headers=headers)
            except httpx.ConnectError:
                self.passed_over += 1
        raise httpx.ConnectError("Every instance refuses connections.")


@dataclass
class Shop:
    """Visitors who buy and a manager who looks on."""

    balancer: Balancer
    write_key: str
    secret_key: str
    think: float
    """Seconds between an answer and the next request (think time)."""

    history: History = field(default_factory=History)
    asked: int = 0
    failed: list[str] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _closing: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Until cancelled; what was asked then is answered first."""
        asking = asyncio.gather(*(self._one(first) for first in range(CLIENTS)))
        try:
            await asyncio.shield(asking)
        except asyncio.CancelledError:
            self._closing.set()
            await asking
            raise

    async def _one(self, number: int) -> None:
        while not self._closing.is_set():
            await (self._look() if number % 4 == 3 else self._buy(number))
            number += CLIENTS
            self.asked += 1
            self._news.set()
            await asyncio.sleep(self.think)

    async def _buy(self, number: int) -> None:
        bought = order(f"p{number % 50}", str(number))
        item = {name: value for name, value in bought.items() if name != "type"}
        self.history.attempt(number)
        if await self._answered("POST", "/v1/track", item, self.write_key):
            self.history.acknowledge(number)

    async def _look(self) -> None:
        await self._answered("GET", "/profiles/v1/counts", None, self.secret_key)

    async def _answered(self, method: str, path: str, body: object, key: str) -> bool:
        try:
            answer = await self.balancer.send(method, path, body, key)
        except httpx.TransportError as exc:
            self.failed.append(f"{method} {path}: {exc!r}")
            return False
        if not answer.is_success:
            self.failed.append(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.is_success

    async def progress(self) -> None:
        wanted = self.asked + ROUND
        while self.asked < wanted:
            self._news.clear()
            await self._news.wait()


@dataclass(frozen=True)
class Plan:
    times: int
    between: float = 0.0
    """Seconds from one restart to the next, at least."""

    think: float = 0.0
    first: Callable[[], None] | None = None
    """What is wrong with the instance that is restarted first."""


async def roll(platform: Nodes, instances: list[Node], shop: Shop, plan: Plan) -> int:
    """Restart one after the other; how many have ended and begun."""
    loop, restarted = asyncio.get_running_loop(), 0
    for number in range(plan.times):
        began, node = loop.time(), instances[number % len(instances)]
        await shop.progress()
        await asyncio.to_thread(in_good_order, node)
        node.start()
        await node.ready(platform.client)
        restarted += 1
        await asyncio.sleep(began + plan.between - loop.time())  # the procedure, not a wait
    await shop.progress()
    return restarted


async def restarted(folder: Path, plan: Plan) -> None:
    async with sink() as server, one_connection_each() as client:
        async with nodes([MODULES], "postgresql", folder, server) as platform:
            node = platform.nodes[0]
            instances = [another(node, folder / "another", plan), node]
            platform.nodes = instances
            await instances[0].ready(platform.client)
            balancer = Balancer(instances, client)
            shop = Shop(balancer, platform.write_key, platform.secret_key, plan.think)
            selling = asyncio.create_task(shop.run())
            try:
                restarts = await roll(platform, instances, shop, plan)
            finally:
                selling.cancel()
                with suppress(asyncio.CancelledError):
                    await selling
            if shop.failed:
                raise GuaranteeBroken(
                    f"{len(shop.failed)} of {shop.asked} failed: {shop.failed[0]}"
                )
            await still(platform)
            url = instances[0].database
        told = [said for where, said in await world({"profiles": url}) if where == RECORDED]
    insist(
        faults=restarts,
        wanted=plan.times,
        tried=shop.asked,
        planned=(plan.times + 1) * ROUND,
        progress=balancer.passed_over,  # while one was away
    )
    shop.history.compare(int(said["message_id"]) for said in told).hold()


def one_connection_each() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_keepalive_connections=0))


def another(node: Node, home: Path, plan: Plan) -> Node:
    """A second instance on the same databases, begun."""
    home.mkdir()
    port = servers.free_port()
    environment = {**node.environment, "MARTECH_PORT": str(port)}
    url = f"http://127.0.0.1:{port}"
    fields = {"port": port, "url": url, "environment": environment, "log": home / "log"}
    made = replace(node, **fields, first=plan.first, process=None)
    made.start()
    return made


def in_good_order(node: Node) -> None:
    node.signal(signal.SIGTERM)
    assert node.ended() == 0, node.said()[-4000:]


def end_when_told() -> None:
    """The defect: whoever is told to end ends, whatever he has begun."""

    def hear() -> None:
        signal.sigwait({signal.SIGTERM})
        os._exit(0)

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # nobody else hears of it
    threading.Thread(target=hear, daemon=True).start()


async def test_no_request_fails_while_instances_are_restarted(tmp_path: Path, full: bool) -> None:
    await restarted(tmp_path, Plan(30, between=20.0) if full else Plan(2, think=0.05))


@pytest.mark.planted
async def test_an_instance_that_does_not_drain_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(GuaranteeBroken, match=r"[1-9]\d* of \d+ failed"):
        await restarted(tmp_path, Plan(1, first=end_when_told))
