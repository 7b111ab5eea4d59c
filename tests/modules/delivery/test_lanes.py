"""A lane where the machine is slow, or the database was away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from sqlalchemy import select

from martech.kernel.errors import Unavailable
from martech.kernel.module import Unit
from martech.modules.delivery.adapters.post import Post
from martech.modules.delivery.adapters.running import FIRST, REMEMBERED, Running
from martech.modules.delivery.contract import Send
from martech.modules.delivery.domain.commands import Deliver
from martech.modules.delivery.domain.settings import DeliverySettings
from martech.modules.delivery.domain.settling import Unmade
from martech.modules.delivery.domain.writing import Written
from martech.modules.delivery.jobs.lane import CLAIMED, SLICE, Lane
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


class Steered(Running):
    """Time passes while mails are written, and what a command has when the first have left."""

    def __init__(self, stand: Stand) -> None:
        super().__init__()
        self._sink = stand.sink
        self.seconds = 0.0
        self.breaths = 0

    def now(self) -> float:
        return self.seconds + (SLICE if self._sink.mails else 0.0)

    def worked(self) -> float:
        return self.seconds

    async def rest(self, seconds: float) -> None:
        self.breaths += 1
        await super().rest(0)


class Dear(Writer):
    """Each mail takes so many *seconds*."""

    def __init__(self, stand: Stand, running: Steered, seconds: float) -> None:
        settings = stand.host.settings
        super().__init__(settings.of(DeliverySettings), settings)
        self._running, self._seconds = running, seconds
        self.written = 0

    def write(self, *args: Any, **more: Any) -> Written | Unmade:
        self.written += 1
        self._running.seconds += self._seconds
        return super().write(*args, **more)


def lane(
    stand: Stand,
    command: Deliver,
    unit: Unit[DeliveryService],
    running: Running,
    writer: Writer | None = None,
) -> Lane:
    given = stand.host.resources["delivery"]
    post, usual = given[Post], given[Writer]
    assert isinstance(post, Post)
    assert isinstance(usual, Writer)
    return Lane(command, unit, post, writer or usual, running)


async def one_batch(stand: Stand, send: Send, running: Running, writer: Writer) -> None:
    await lane(stand, Deliver(send_id=send.id), stand.service, running, writer).run()


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


async def test_what_cannot_be_written_in_time_is_given_back_and_the_first_ones_leave(
    stand: Stand,
) -> None:
    send = await stand.to(*(f"p{number}" for number in range(16)))
    running = Steered(stand)
    writer = Dear(stand, running, 0.1)
    await one_batch(stand, send, running, writer)
    assert (writer.written, len(stand.mailed())) == (3, 3)
    counts = (await stand.look(send)).counts
    assert (counts.pending, counts.ambiguous) == (13, 0)
    assert running.batch(send.id) == 2
    assert running.batch(uuid4()) == FIRST, "of another send nothing was learned"


async def test_a_mail_that_takes_all_the_time_there_is_leaves(stand: Stand) -> None:
    send = await stand.to("ada", "bob", "eve")
    running = Steered(stand)
    writer = Dear(stand, running, 2 * CLAIMED)
    await one_batch(stand, send, running, writer)
    assert (writer.written, len(stand.mailed())) == (1, 1)


@pytest.mark.parametrize(("seconds", "breaths"), [(0.03, 8), (0.003, 4)])
async def test_others_have_their_turn_by_the_time_that_writing_takes(
    stand: Stand, seconds: float, breaths: int
) -> None:
    send = await stand.to(*(f"p{number}" for number in range(32)))
    running = Steered(stand)
    running.learn(send.id, 32)
    await one_batch(stand, send, running, Dear(stand, running, seconds))
    assert running.breaths == breaths


async def test_a_send_whose_mails_are_dear_to_write_goes_on_alone_and_later(stand: Stand) -> None:
    running = Steered(stand)
    writer = Dear(stand, running, 0.2)
    stand.host.resources["delivery"] |= {Running: running, Writer: writer}
    send = await stand.to(*(f"p{number}" for number in range(250)))
    assert await coming(stand) == {0, 1}
    await stand.work()
    early = writer.written
    assert (1 < early <= 4, await coming(stand)) == (True, set()), "two for each lane, or less"
    stand.clock.move(timedelta(seconds=10))
    assert await coming(stand) == {0}
    await stand.work()
    assert (early < writer.written <= early + 2, await coming(stand)) == (True, set())
    assert (await stand.look(send)).counts.delivered == writer.written


async def test_however_many_write_dear_mails_a_quarter_of_the_time_is_theirs(stand: Stand) -> None:
    running = Steered(stand)
    assert [running.turn(0.5) for _ in range(3)] == [2.0, 4.0, 6.0]
    running.seconds += 100
    assert running.turn(0.5) == 2.0


def test_what_was_learned_of_many_sends_takes_little_room() -> None:
    running, first = Running(), uuid4()
    running.learn(first, 7)
    for _ in range(REMEMBERED):
        running.learn(uuid4(), 1)
    assert running.batch(first) == FIRST


async def test_after_the_database_was_away_what_is_known_is_settled_and_nothing_is_claimed(
    stand: Stand,
) -> None:
    """The lease may be over: what was claimed under it would be ambiguous when it is taken over."""
    send = await stand.to("ada", "bob", "eve")
    running = Running()
    running.learn(send.id, 1)
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
