"""How commands travel to those who carry them out: not twice while they wait, not to strangers."""

import asyncio
import logging
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from martech.kernel import jobs
from martech.kernel.clock import TestClock
from martech.kernel.commands import RESEND
from martech.kernel.host import Host
from martech.kernel.jobs import Carrier, Jobs, Queue
from martech.kernel.jobs.queue import namespace
from martech.kernel.settings import Settings
from martech.kernel.trouble import Trouble
from tests import databases, servers
from tests.kitchen import log, order, running
from tests.sample.kitchen.domain import Bake, Deliver

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def test_what_waits_in_this_process_is_not_queued_twice() -> None:
    queue = Queue("kitchen", None, "sqlite:///x")
    carried: list[UUID] = []

    async def carry_out(id_: UUID) -> bool:
        carried.append(id_)
        return True

    one, two = UUID(int=1), UUID(int=2)
    await queue.send([one])
    await queue.send([one, two])
    assert await queue.waiting() == 2
    queue.open(carry_out, 1)
    async with asyncio.timeout(10):
        while await queue.waiting():  # noqa: ASYNC110 - a turn of the loop
            await asyncio.sleep(0)
    await queue.close(5)
    assert carried == [one, two]


@pytest.mark.parametrize("by", ["in process", "redis"])
async def test_a_full_queue_is_given_no_more_however_long_it_waits(
    sample_url: str, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "WINDOW", 2)
    url = servers.fresh_redis() if by == "redis" else None
    settings, clock = Settings(database_url=sample_url, redis_url=url), TestClock(NOON)
    async with Host(databases.SAMPLE, settings, clock=clock) as host:
        queue = Queue("kitchen", url, sample_url)
        await order(host, *(Deliver(number=n) for n in range(5)))
        work, carrier = Jobs(host), Carrier(host, "kitchen")
        for _ in range(3):
            await work.hand_out(carrier, queue, Trouble(logging.getLogger(__name__)))
            assert await queue.waiting() == 2
            clock.move(RESEND)
        await queue.close(1)


async def test_two_installations_on_one_redis_do_each_their_own(tmp_path: Path) -> None:
    url = servers.fresh_redis()
    one, two = (
        Settings(
            database_url=databases.fresh("sqlite", databases.SAMPLE, tmp_path / name), redis_url=url
        )
        for name in ("production", "staging")
    )
    async with Host(databases.SAMPLE, one) as mine, Host(databases.SAMPLE, two) as theirs:
        async with asyncio.timeout(20), running(Jobs(mine)), running(Jobs(theirs)):
            await order(mine, *(Bake(number=n) for n in range(40)))
            while len(await log(mine)) < 40:
                pass
        assert await log(theirs) == []


def test_who_works_on_one_database_shares_its_queues_whatever_their_password() -> None:
    mine = namespace("postgresql://martech:one@10.0.0.7/martech")
    assert mine == namespace("postgresql://worker:two@10.0.0.7/martech")
    assert mine != namespace("postgresql://martech:one@10.0.0.7/staging")
    whole = Path("var/martech").resolve()
    assert namespace("sqlite:///var/martech") == namespace(f"sqlite:///{whole}")
