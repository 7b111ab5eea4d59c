"""E3 and E7: however many start a campaign, and however it is stopped and started, everybody gets
it once. The mail server's own log is the verdict."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from martech.kernel.host import Host
from martech.kernel.module import Module
from martech.kernel.process import Process
from tests import databases
from tests.chaos.history import GuaranteeBroken, History, insist
from tests.chaos.starting import (
    HighWaterMark,
    NoLedger,
    drop_the_key,
    everybody,
    quiet,
    settled,
    start,
    taken,
    with_delivery,
)
from tests.e2e.town import Town, at_work, mailing_to, town
from tests.sinks.smtp import Sink

pytestmark = [pytest.mark.whole, pytest.mark.anyio, pytest.mark.timeout(3600)]

SCHEDULERS, WORKERS = 5, 20


class Trial:
    """Campaigns to the same people, and the log of the server that takes their mails."""

    def __init__(self, url: str, folder: Path, modules: Sequence[Module] | None = None) -> None:
        self.url = url
        self.modules = modules or databases.product()
        self.log = folder / "mails.jsonl"
        self.history = History()
        self.acts = 0

    async def verdict(self, sink: Sink, shop: Town, campaigns: Sequence[str]) -> None:
        """Everybody once; and what the platform says is what the log says."""
        there = taken(self.log)
        self.history.compare(there).hold()
        counted = [(await shop.status(campaign))["counts"] for campaign in campaigns]
        if sum(counts["delivered"] for counts in counted) != len(there):
            raise GuaranteeBroken(f"{counted} are not the {len(there)} of the log")

    def expect(self, subjects: Sequence[str], people: int) -> None:
        mails = everybody(subjects, people)
        self.history.attempt(*mails)
        self.history.acknowledge(*mails)


# --- E3: five schedulers and twenty workers start the same campaigns ------------------------------


class Starting(Trial):
    async def run(self, campaigns: int, people: int) -> None:
        sink = Sink(log=self.log)
        await sink.start()
        try:
            async with town(self.url, sink, self.modules) as shop:
                await self._run(shop, sink, campaigns, people)
        finally:
            await sink.stop()

    async def _run(self, shop: Town, sink: Sink, campaigns: int, people: int) -> None:
        segment = await settled(shop, people)
        subjects = [f"Campaign {number}" for number in range(campaigns)]
        self.expect(subjects, people)
        planned = [
            await shop.campaign(segment, await shop.template(subject)) for subject in subjects
        ]
        ahead = timedelta(seconds=2 + 0.1 * campaigns)  # no plan is made for a time that is over
        at = shop.served.host.clock.now() + ahead
        for campaign in planned:
            path = f"/campaigns/v1/campaigns/{campaign}/schedule"
            await shop.do("POST", path, {"at": at.isoformat()})

        async def over() -> bool:
            states = [(await shop.status(campaign))["status"] for campaign in planned]
            return all(state == "completed" for state in states)

        async with AsyncExitStack() as stack:
            shared = None if self.url.startswith("postgresql") else Process()
            hosts = [
                await stack.enter_async_context(
                    Host(self.modules, mailing_to(sink, self.url), process=shared)
                )
                for _ in range(SCHEDULERS)
            ]
            await stack.enter_async_context(at_work(*hosts))
            async with asyncio.TaskGroup() as tasks:
                for number in range(WORKERS):
                    host = hosts[number % SCHEDULERS]
                    tasks.create_task(self._work(host, shop, number, planned))
            done = await quiet(sink, over)
        await self.verdict(sink, shop, planned)
        insist(
            faults=self.acts,
            wanted=WORKERS * campaigns,
            tried=sink.accepted,
            planned=campaigns * people,
            outstanding=not done,
        )

    async def _work(self, host: Host, shop: Town, seed: int, campaigns: Sequence[str]) -> None:
        for campaign in random.Random(seed).sample(campaigns, len(campaigns)):
            scheduled = await shop.do("GET", f"/campaigns/v1/campaigns/{campaign}")
            at = shop.served.host.clock.now().fromisoformat(scheduled["scheduled_at"])
            await start(host, shop.served.tenant, UUID(campaign), at)
            self.acts += 1


async def test_a_campaign_that_everybody_starts_is_sent_once(
    product_url: str, tmp_path: Path, full: bool
) -> None:
    campaigns, people = (100, 500) if full else (2, 20)
    await Starting(product_url, tmp_path).run(campaigns, people)


@pytest.mark.planted
async def test_a_ledger_without_its_key_is_found_out(product_url: str, tmp_path: Path) -> None:
    await drop_the_key(product_url)
    trial = Starting(product_url, tmp_path, with_delivery(NoLedger))
    with pytest.raises(GuaranteeBroken, match=r"duplicated [1-9]"):
        await trial.run(1, 10)


# --- E7: pause, resume, change of rate, restart --------------------------------------------------


class Steering(Trial):
    """One campaign, and somebody who cannot leave it alone."""

    def __init__(
        self, url: str, folder: Path, seed: int, modules: Sequence[Module] | None = None
    ) -> None:
        super().__init__(url, folder, modules)
        self.dice = random.Random(seed)
        self.sink = Sink("rcpt:451@0.03", log=self.log)
        self.tenant = uuid4()
        self.campaign = ""
        self.acts_planned = self.people = 0

    async def run(self, acts: int, people: int, patience: float = 20.0) -> None:
        self.acts_planned, self.people = acts, people
        self.expect(["Winter"], people)
        await self.sink.start()
        try:
            async with self._town() as shop:
                segment = await settled(shop, people)
                self.campaign = await shop.campaign(segment, await shop.template("Winter"))
                await self._rate(shop)
                await shop.order(self.campaign, "launch")
            while self.acts < acts:
                await self._session(acts)
            await self._finish(acts, patience)
        finally:
            await self.sink.stop()

    async def _session(self, acts: int) -> None:
        """From one start of the process to the next."""
        async with self._town() as shop, at_work(shop.served.host):
            while self.acts < acts:
                self.acts += 1
                await asyncio.sleep(self.dice.uniform(0, 0.15))
                await self._look(shop)
                match self.dice.choice(["pause", "resume", "resume", "rate", "restart"]):
                    case "restart":
                        return
                    case "rate":
                        await self._rate(shop)
                    case order:
                        await shop.call("POST", f"{self._path}/{order}")

    async def _rate(self, shop: Town) -> None:
        """So slow that something is left to the end, however long an act takes."""
        left = max(1, self.people - self.sink.accepted)
        rate = self.dice.choice([1, 2]) * left / (4 * (self.acts_planned - self.acts) + 4)
        await shop.call("PATCH", self._path, {"rate": rate})

    async def _look(self, shop: Town) -> bool:
        """Whether it is over."""
        over = bool((await shop.status(self.campaign))["status"] == "completed")
        if over and self.sink.accepted < self.people:
            raise GuaranteeBroken(f"finished with {self.sink.accepted} of {self.people}")
        return over

    async def _finish(self, acts: int, patience: float) -> None:
        async with self._town() as shop, at_work(shop.served.host):
            before = self.sink.accepted
            await shop.call("PATCH", self._path, {"rate": None})
            await shop.call("POST", f"{self._path}/resume")

            done = await quiet(self.sink, lambda: self._look(shop), patience)
            await self.verdict(self.sink, shop, [self.campaign])
        insist(
            faults=self.acts,
            wanted=acts,
            tried=self.sink.accepted,
            planned=self.people,
            progress=self.sink.accepted - before,
            outstanding=not done,
        )

    def _town(self) -> AbstractAsyncContextManager[Town]:
        return town(self.url, self.sink, self.modules, self.tenant)

    @property
    def _path(self) -> str:
        return f"/campaigns/v1/campaigns/{self.campaign}"


async def test_a_campaign_that_is_never_left_alone_reaches_everybody_once(
    product_url: str, tmp_path: Path, full: bool
) -> None:
    acts, people = (200, 2000) if full else (8, 40)
    await Steering(product_url, tmp_path, seed=7).run(acts, people)


@pytest.mark.planted
async def test_a_high_water_mark_is_found_out(product_url: str, tmp_path: Path) -> None:
    trial = Steering(product_url, tmp_path, seed=7, modules=with_delivery(HighWaterMark))
    with pytest.raises(GuaranteeBroken, match=r"lost [1-9]|finished with"):
        await trial.run(3, 40, patience=2.0)
