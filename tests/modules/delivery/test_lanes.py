"""A lane where the machine is slow, or the database was away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from martech.kernel.errors import Unavailable
from martech.modules.delivery.adapters.post import Post
from martech.modules.delivery.adapters.running import Running
from martech.modules.delivery.domain.commands import Deliver
from martech.modules.delivery.jobs.lane import Lane
from martech.modules.delivery.service import DeliveryService
from martech.modules.delivery.service.writing import Writer
from tests.modules.delivery.stand import Stand

pytestmark = pytest.mark.anyio


class Slow(Running):
    """Between any two looks at the clock half a second has passed."""

    def __init__(self) -> None:
        super().__init__()
        self._passed = 0.0

    def now(self) -> float:
        self._passed += 0.5
        return super().now() + self._passed


async def test_where_all_is_slow_something_leaves_all_the_same(stand: Stand) -> None:
    """Otherwise mails are claimed, written and given back for ever."""
    send = await stand.to("ada", "bob", "eve")
    stand.host.resources["delivery"][Running] = Slow()
    async with asyncio.timeout(60):
        await stand.work()
    assert stand.mailed() == ["ada", "bob", "eve"]
    assert (await stand.look(send)).status == "completed"


async def test_after_the_database_was_away_what_is_known_is_settled_and_nothing_is_claimed(
    stand: Stand,
) -> None:
    """The lease may be over: what was claimed under it would be ambiguous when it is taken over."""
    send = await stand.to("ada", "bob", "eve")
    given = stand.host.resources["delivery"]
    running = Running()
    running.batch = 1
    away = [True]

    @asynccontextmanager
    async def unit() -> AsyncIterator[DeliveryService]:
        async with stand.service() as service:
            yield service
            if stand.sink.mails and away:
                raise Unavailable(f"away: {away.pop()}")

    post, writer = given[Post], given[Writer]
    assert isinstance(post, Post)
    assert isinstance(writer, Writer)
    await Lane(Deliver(send_id=send.id), unit, post, writer, running).run()
    assert not away
    assert len(stand.mailed()) == 1
    counts = (await stand.look(send)).counts
    assert (counts.delivered, counts.pending, counts.ambiguous) == (1, 2, 0)
    await stand.work()
    assert stand.mailed() == ["ada", "bob", "eve"]
