"""A lane where the machine is slow, or the database was away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import select

from martech.kernel.errors import Unavailable
from martech.kernel.module import Unit
from martech.modules.delivery.adapters.post import Post
from martech.modules.delivery.adapters.running import Running
from martech.modules.delivery.domain.commands import Deliver
from martech.modules.delivery.jobs.lane import Lane
from martech.modules.delivery.service import DeliveryService
from martech.modules.delivery.service.writing import Writer
from martech.modules.delivery.tables import metadata
from tests.modules.delivery.stand import Stand, standing
from tests.sinks.smtp import sink

pytestmark = pytest.mark.anyio


class Slow(Running):
    """Between any two looks at the clock half a second has passed."""

    def __init__(self) -> None:
        super().__init__()
        self._passed = 0.0

    def now(self) -> float:
        self._passed += 0.5
        return super().now() + self._passed


def lane(stand: Stand, command: Deliver, unit: Unit[DeliveryService], running: Running) -> Lane:
    given = stand.host.resources["delivery"]
    post, writer = given[Post], given[Writer]
    assert isinstance(post, Post)
    assert isinstance(writer, Writer)
    return Lane(command, unit, post, writer, running)


async def coming(stand: Stand) -> set[int]:
    """The lanes that have something to do at this moment."""
    commands = metadata.tables["delivery.commands"]
    due = select(commands.c.data).where(
        commands.c.type == "delivery.deliver.v1",
        commands.c.done_at.is_(None),
        commands.c.due_at <= stand.clock.now(),
    )
    async with stand.host.databases["delivery"].unit(write=False) as unit:
        rows = (await unit.across(due)).all()
    return {msgspec.json.decode(row.data, type=Deliver).lane for row in rows}


async def test_what_was_put_off_is_sent_in_as_many_lanes_as_it_is_worth(delivery_url: str) -> None:
    async with sink("rcpt:450") as server, standing(delivery_url, server) as stand:
        send = await stand.to(*(f"p{number}" for number in range(250)))
        while (await stand.look(send)).counts.pending:
            await stand.work(later=1)
        server.faults.plant()
        stand.clock.move(timedelta(hours=1))
        assert await coming(stand) == {0}
        await lane(stand, Deliver(send_id=send.id), stand.service, Running()).run()
        assert 1 in await coming(stand)
        await stand.work()
        assert (await stand.look(send)).counts.delivered == 250


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
    running = Running()
    running.batch = 1
    away = [True]

    @asynccontextmanager
    async def unit() -> AsyncIterator[DeliveryService]:
        async with stand.service() as service:
            yield service
            if stand.sink.mails and away:
                raise Unavailable(f"away: {away.pop()}")

    await lane(stand, Deliver(send_id=send.id), unit, running).run()
    assert not away
    assert len(stand.mailed()) == 1
    counts = (await stand.look(send)).counts
    assert (counts.delivered, counts.pending, counts.ambiguous) == (1, 2, 0)
    await stand.work()
    assert stand.mailed() == ["ada", "bob", "eve"]
