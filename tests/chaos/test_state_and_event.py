"""M1: state changes if and only if its event is told, and a repeated request gets its answer."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import httpx
import msgspec
import pytest
from sqlalchemy import select

from martech.kernel.auth import Claims, Issuer
from martech.kernel.clock import SystemClock
from martech.kernel.columns import new_id, table
from martech.kernel.host import Host
from martech.kernel.outbox import Publisher
from martech.kernel.settings import Settings
from tests.chaos.children import serve_shop
from tests.chaos.defects import PublishesAfterCommit
from tests.chaos.history import GuaranteeBroken, History, insist
from tests.chaos.loads import TENANT
from tests.chaos.processes import KILLED, Child
from tests.sample.shop.contract import Sold
from tests.sample.shop.module import module as shop
from tests.sample.shop.tables import sales

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(3600)]

PLACES = (
    "unit.before_write",
    "outbox.before_insert",  # which is after the state was written
    "outbox.after_insert",
    "unit.before_commit",
    "unit.after_commit",
    "http.before_reply",
)
AT_ONCE = 4


@dataclass
class Trial:
    """A shop that is killed at one place again and again, and a client that never gives up."""

    url: str
    place: str
    publisher: type[Publisher] | None
    seed: random.Random
    issuer: Issuer = field(default_factory=lambda: Issuer(Issuer.make()))
    history: History = field(default_factory=History)
    unanswered: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    replayed: int = 0
    kills: int = 0
    last: int = 0
    key: UUID = field(default_factory=new_id)
    """Whose requests these are, also when they are sent again."""

    @asynccontextmanager
    async def life(self, plan: str) -> AsyncIterator[tuple[Child, httpx.AsyncClient]]:
        """A serving process, and a client of it."""
        child = Child(serve_shop, self.url, self.issuer.published, plan, self.publisher)
        port = await child.said()
        claims = Claims(
            key=self.key,
            tenant=TENANT,
            scopes=frozenset({"*:*"}),
            issued_at=SystemClock().now(),
        )
        headers = {"authorization": f"Bearer {self.issuer.sign('secret', claims)}"}
        try:
            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30
            ) as client:
                yield child, client
        finally:
            await child.kill()

    async def run(self, kills: int) -> None:
        while self.kills < kills:
            plan = f"{self.place}=kill@{self.seed.randint(1, 3 * AT_ONCE)}"
            async with self.life(plan) as (child, client):
                while not await self.round(client):
                    continue
                assert await child.ended() == KILLED
                self.kills += 1
            await self.compare()
        async with self.life("") as (_, client):
            assert not await self.round(client)
        await self.compare()

    async def round(self, client: httpx.AsyncClient) -> bool:
        """Several requests at once, the unanswered ones first; True when the server died."""
        while len(self.unanswered) < AT_ONCE:
            self.last += 1
            self.unanswered.append(self.last)
        answered = await asyncio.gather(*(self.sell(client, n) for n in self.unanswered))
        self.unanswered = [n for n, ok in zip(self.unanswered, answered, strict=True) if not ok]
        return bool(self.unanswered)

    async def sell(self, client: httpx.AsyncClient, number: int) -> bool:
        self.history.attempt(number)
        try:
            answer = await client.post(
                "/shop/v1/sales",
                json={"numbers": [number]},
                headers={"idempotency-key": f"sale-{number}"},
            )
        except httpx.TransportError:
            return False
        self.replayed += "idempotency-replayed" in answer.headers
        if answer.status_code != 201 or answer.json() != {"new": [number]}:
            self.wrong.append(f"{number}: {answer.status_code} {answer.text}")
        self.history.acknowledge(number)
        return True

    async def compare(self) -> None:
        """State and event, in the database, at this moment."""
        async with Host([shop], Settings(database_url=self.url)) as host:
            state, events = await _state(host), await _events(host)
        if self.wrong:
            raise GuaranteeBroken(f"not the first answer: {self.wrong[0]}")
        if silent := set(state) - set(events):
            raise GuaranteeBroken(f"{self.place}: {len(silent)} states without an event")
        if empty := set(events) - set(state):
            raise GuaranteeBroken(f"{self.place}: {len(empty)} events without a state")
        self.history.compare(events).hold()


async def _state(host: Host) -> list[int]:
    async with host.databases["shop"].across(write=False) as connection:
        return list((await connection.execute(select(sales.c.number))).scalars())


async def _events(host: Host) -> list[int]:
    database = host.databases["shop"]
    outbox = table(database.metadata, "outbox")
    async with database.across(write=False) as connection:
        told = (await connection.execute(select(outbox.c.data))).scalars()
        decoded = [msgspec.json.decode(data, type=Sold) for data in told]
    return [sale.number for sold in decoded for sale in sold.items]


@pytest.mark.parametrize("place", PLACES)
async def test_state_and_event_are_one_wherever_the_process_dies(
    sample_url: str, place: str, full: bool
) -> None:
    kills = 100 if full else 2
    trial = Trial(sample_url, place, None, random.Random(place))
    await trial.run(kills)
    insist(
        faults=trial.kills,
        wanted=kills,
        tried=len(trial.history.attempted),
        planned=kills,
        progress=len(trial.history.acknowledged),
        outstanding=len(trial.unanswered),
    )
    if place in {"unit.after_commit", "http.before_reply"}:
        assert trial.replayed, "committed, not answered, asked again: the first answer is given"


@pytest.mark.planted
async def test_publishing_after_the_commit_is_found_out(sample_url: str, full: bool) -> None:
    trial = Trial(sample_url, "unit.after_commit", PublishesAfterCommit, random.Random(1))
    with pytest.raises(GuaranteeBroken, match="states without an event"):
        await trial.run(100 if full else 5)
