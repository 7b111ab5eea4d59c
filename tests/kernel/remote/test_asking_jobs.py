"""Jobs that ask a module which lives elsewhere. On both databases."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from martech.kernel.clock import TestClock
from martech.kernel.host import Host
from martech.kernel.jobs import Jobs
from martech.kernel.module import Job, Unit, job
from martech.kernel.resilience import Breaker
from martech.kernel.settings import Settings
from tests.kernel.remote.serving import SECRET, served
from tests.kitchen import log, order, rows
from tests.sample.kitchen.domain import Deliver
from tests.sample.kitchen.module import module as kitchen
from tests.sample.kitchen.service import KitchenService
from tests.sample.shop.contract import Shop
from tests.sample.shop.module import module as shop
from tests.servers import free_port

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@job(Deliver)
async def ask_too_late(command: Deliver, unit: Unit[KitchenService], shop: Shop) -> None:
    async with unit() as service:
        await service.write("began")
        await shop.stock()


@job(Deliver)
async def ask_in_time(command: Deliver, unit: Unit[KitchenService], shop: Shop) -> None:
    async with unit() as service:
        left = (await shop.stock()).left
        await service.write(f"{left} left")
    left = (await shop.stock()).left
    async with unit() as service:
        await service.write(f"still {left} left")


def knowing(url: str, port: int) -> Settings:
    peers = {"shop": f"http://127.0.0.1:{port}"}
    return Settings(database_url=url, peers=peers, peer_secret=SECRET)


async def test_a_job_waits_for_a_peer_that_is_away_without_losing_an_attempt(
    sample_url: str,
) -> None:
    clock, port = TestClock(NOON), free_port()
    async with Host([kitchen], knowing(sample_url, port), clock=clock) as host:
        await order(host, Deliver(number=1))
        for _ in range(20):
            await Jobs(host).settle()
            (row,) = await rows(host)
            assert (row["attempts"], row["done_at"], row["parked_at"]) == (0, None, None)
            assert "shop" in row["error"]
            clock.move(timedelta(seconds=10))
        host.peers["shop"].breaker = Breaker()  # as after a rest
        async with served([shop], Settings(database_url=sample_url, peer_secret=SECRET), port):
            await Jobs(host).settle()
        assert (await log(host))[-1] == "delivered 1"


@asynccontextmanager
async def asking(run: Job, url: str, where: str) -> AsyncIterator[Host]:
    """A kitchen whose one job is *run*; the shop is *here* or *elsewhere*."""
    there = Settings(database_url=url, peer_secret=SECRET)
    mine = replace(kitchen, jobs=[run])
    if where == "here":
        async with Host([mine, shop], there) as host:
            yield host
        return
    async with (
        served([shop], there) as home,
        Host([mine], knowing(url, home.settings.port)) as host,
    ):
        yield host


BOTH = pytest.mark.parametrize("where", ["here", "elsewhere"])


@BOTH
async def test_a_job_does_not_ask_inside_a_unit_that_has_begun(sample_url: str, where: str) -> None:
    async with asking(ask_too_late, sample_url, where) as host:
        await order(host, Deliver(number=1))
        await Jobs(host).settle()
        (row,) = await rows(host)
        assert row["error"].startswith("AskedTooLate: shop.stock was asked inside")
        assert await log(host) == []


@BOTH
async def test_a_job_may_ask_before_the_first_statement_and_after_the_last(
    sample_url: str, where: str
) -> None:
    async with asking(ask_in_time, sample_url, where) as host:
        await order(host, Deliver(number=1))
        await Jobs(host).settle()
        assert await log(host) == ["1000 left", "still 1000 left"]
