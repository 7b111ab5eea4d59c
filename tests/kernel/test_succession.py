"""What was on its way to a process that was killed: who knows that it is gone need not wait."""

import asyncio
from datetime import timedelta

import pytest

from martech.app import work
from martech.kernel.host import Host
from martech.kernel.jobs import Carrier
from martech.kernel.settings import Settings
from tests.databases import SAMPLE
from tests.kitchen import log, order
from tests.sample.kitchen.domain import Deliver

pytestmark = pytest.mark.anyio

FOR_GOOD = timedelta(days=36_500)


async def leave_behind(host: Host) -> None:
    """Two deliveries: one that somebody has begun, and one on its way."""
    await order(host, Deliver(number=1), Deliver(number=2))
    carrier = Carrier(host, "kitchen")
    (begun, _), _ = await carrier.sweep(2)
    async with carrier.database.unit() as unit:
        assert await carrier.commands.lease(unit, begun, FOR_GOOD)


async def test_what_was_on_its_way_goes_out_again_at_once_where_nobody_else_works(
    kind: str, sample: Host, sample_url: str
) -> None:
    """As on SQLite; on PostgreSQL whoever it was sent to may be alive. What has begun waits on
    both."""
    await leave_behind(sample)
    working = asyncio.create_task(work(Settings(database_url=sample_url), modules=SAMPLE))
    expected = {"delivered 3"} | ({"delivered 2"} if kind == "sqlite" else set())
    async with asyncio.timeout(30):
        await order(sample, Deliver(number=3))
        while not expected <= set(await log(sample)):
            assert not working.done()
    working.cancel()
    await asyncio.wait([working])
    done = [line for line in await log(sample) if line.startswith("delivered")]
    assert sorted(done) == sorted(expected)
