"""A send that follows a cancelled one of the same source and occasion: the ledger decides who had
it, and whoever did not gets it now."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from martech.kernel.errors import Unavailable
from martech.modules.delivery.contract import Send
from martech.modules.delivery.domain.outcomes import Ambiguous, NotTried, Outcome, Refused
from martech.modules.delivery.service import cancelling
from martech.modules.delivery.service.gathering import Gathering, Left
from tests.modules.delivery.stand import START, Stand

pytestmark = pytest.mark.anyio

RETRY = timedelta(seconds=60)


async def cancel(stand: Stand, send: Send) -> None:
    async with stand.service() as service:
        await service.cancel_send(send.id)


async def settle(stand: Stand, send: Send, outcome: Outcome) -> None:
    """That became of all that the first lane of *send* holds."""
    async with stand.service() as service:
        held = await service.hold(send.id)
        await service.settle(held, 0, {}, otherwise=outcome, retry=RETRY)
        await service.finish(held)


async def in_hand(stand: Stand, *names: str) -> tuple[Send, list[UUID]]:
    """A send that is cancelled while a lane has all of it in hand."""
    await stand.publish()
    people = await stand.people(*names)
    send = await stand.add(await stand.open(), people)
    async with stand.service() as service:
        held = await service.hold(send.id)
        await service.claim(held, 0, 100)
        await service.finish(held)
    await cancel(stand, send)
    return send, people


async def test_who_was_left_out_by_a_cancelled_send_gets_the_next_ones_mail_and_nobody_two(
    stand: Stand,
) -> None:
    await stand.publish()
    ada, bob, eve = await stand.people("ada", "bob", "eve")
    first = await stand.add(await stand.open(), [ada], seal=False)
    await stand.work()
    await stand.add(first, [bob], seal=False)
    await cancel(stand, first)
    second = await stand.add(await stand.open(), [ada, bob, eve])
    await stand.work()

    assert stand.mailed() == ["ada", "bob", "eve"]
    done = await stand.look(second)
    assert (done.status, done.counts.audience) == ("completed", 3)
    assert (done.counts.delivered, done.counts.duplicate) == (2, 1)
    assert (await stand.look(first)).counts.cancelled == 1, "as it was when it ended"
    assert set(await stand.messages(second)) == {"bob", "eve"}


async def test_who_waits_in_a_send_that_goes_on_is_not_taken_from_it(stand: Stand) -> None:
    await stand.publish()
    (ada,) = await stand.people("ada")
    first = await stand.add(await stand.open(), [ada])
    second = await stand.add(await stand.open(), [ada])
    await stand.work()

    assert stand.mailed() == ["ada"]
    assert (await stand.look(first)).counts.delivered == 1
    assert (await stand.look(second)).counts.duplicate == 1


async def test_what_is_still_being_cancelled_is_waited_for(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancelling, "BATCH", 1)
    await stand.publish()
    people = await stand.people("ada", "bob")
    first = await stand.add(await stand.open(), people, seal=False)
    await cancel(stand, first)
    second = await stand.open()
    with pytest.raises(Unavailable, match="being cancelled"):
        await stand.add(second, people)
    for _ in people:
        await cancel(stand, first)
    await stand.add(second, people)
    await stand.work()
    assert stand.mailed() == ["ada", "bob"]


async def test_what_a_lane_has_in_hand_is_waited_for(stand: Stand) -> None:
    first, people = await in_hand(stand, "ada")
    second = await stand.open()
    with pytest.raises(Unavailable, match="being cancelled"):
        await stand.add(second, people)
    await settle(stand, first, NotTried("no time"))
    await stand.add(second, people)
    await stand.work()
    assert stand.mailed() == ["ada"]
    assert (await stand.look(second)).counts.delivered == 1


@pytest.mark.parametrize("accepted", [True, False])
async def test_of_whom_nobody_knows_the_next_send_waits_for_the_servers_log(
    stand: Stand, *, accepted: bool
) -> None:
    first, people = await in_hand(stand, "ada")
    await settle(stand, first, Ambiguous("it broke"))
    second = await stand.open()
    with pytest.raises(Unavailable, match=r"Of 1 messages .* /delivery/v1/reconciliations"):
        await stand.add(second, people)
    assert (await stand.look(second)).counts.audience == 0
    ada = (await stand.messages(first))["ada"]
    async with stand.service() as service:
        log = [ada.id] if accepted else []
        await service.reconcile(log, since=START, until=stand.clock.now())
    await stand.add(second, people)
    await stand.work()
    done = (await stand.look(second)).counts
    assert (done.duplicate, done.delivered) == (accepted, not accepted)
    assert stand.mailed() == ([] if accepted else ["ada"])


async def test_who_has_come_to_allow_it_since_gets_the_next_ones_mail(stand: Stand) -> None:
    await stand.publish()
    people = await stand.people("ada", "bob")
    for each in people:
        await stand.consent(each, "denied")
    first = await stand.add(await stand.open(), people, seal=False)
    await stand.work()
    await cancel(stand, first)
    await stand.work(later=60)
    await stand.consent(people[0], "granted")
    second = await stand.add(await stand.open(), people)
    await stand.work()

    assert stand.mailed() == ["ada"]
    done = (await stand.look(second)).counts
    assert (done.delivered, done.suppressed, done.duplicate) == (1, 1, 0)
    assert (await stand.look(first)).counts.suppressed == 2, "as it was when it ended"


async def test_who_had_it_at_an_old_address_gets_no_second_at_the_new_one(stand: Stand) -> None:
    await stand.publish()
    ada, bob, eve = await stand.people("ada", "bob", "eve")
    first = await stand.add(await stand.open(), [ada, bob], seal=False)
    await stand.work()
    await stand.add(first, [eve], seal=False)
    await cancel(stand, first)
    await stand.change(ada, email="ada.new@example.com")
    (robert,) = await stand.people("robert")
    await stand.merge(robert, bob)
    await stand.change(eve, email="eve.new@example.com")
    second = await stand.add(await stand.open(), [ada, robert, eve])
    await stand.work()

    assert stand.mailed() == ["ada", "bob", "eve.new"]
    done = (await stand.look(second)).counts
    assert (done.audience, done.duplicate, done.delivered) == (3, 2, 1)


async def test_whom_a_send_waits_to_write_to_at_an_old_address_gets_no_second(
    stand: Stand,
) -> None:
    await stand.publish()
    (ada,) = await stand.people("ada")
    first = await stand.add(await stand.open(), [ada])
    await stand.change(ada, email="new@example.com")
    second = await stand.add(await stand.open(), [ada])
    await stand.change(ada, email="ada@example.com")
    await stand.work()

    assert stand.mailed() == ["ada"]
    assert (await stand.look(first)).counts.delivered == 1
    assert (await stand.look(second)).counts.duplicate == 1


async def test_who_was_refused_at_an_old_address_gets_it_at_the_new_one(stand: Stand) -> None:
    first, people = await in_hand(stand, "ada")
    await settle(stand, first, Refused(550, "nobody", "RCPT"))
    await stand.change(people[0], email="ada.new@example.com")
    await stand.add(await stand.open(), people)
    await stand.work()
    assert stand.mailed() == ["ada.new"]


@pytest.mark.parametrize("accepted", [True, False])
async def test_what_nobody_knows_of_an_old_address_is_waited_for(
    stand: Stand, *, accepted: bool
) -> None:
    first, people = await in_hand(stand, "ada")
    await stand.change(people[0], email="ada.new@example.com")
    second = await stand.open()
    with pytest.raises(Unavailable, match="being cancelled"):
        await stand.add(second, people)
    await settle(stand, first, Ambiguous("it broke"))
    with pytest.raises(Unavailable, match=r"Of 1 messages .* /delivery/v1/reconciliations"):
        await stand.add(second, people)
    ada = (await stand.messages(first))["ada"]
    async with stand.service() as service:
        log = [ada.id] if accepted else []
        await service.reconcile(log, since=START, until=stand.clock.now())
    await stand.add(second, people)
    await stand.work()
    assert stand.mailed() == ([] if accepted else ["ada.new"])


async def test_whose_mail_could_not_be_made_gets_the_next_ones(stand: Stand) -> None:
    await stand.publish(subject="{{ 100 | divided_by: profile.traits.n }}")
    (bob,) = await stand.people("bob")
    await stand.change(bob, n=0)
    first = await stand.add(await stand.open(), [bob], seal=False)
    await stand.work()
    await cancel(stand, first)
    assert (await stand.look(first)).counts.failed == 1
    await stand.change(bob, n=2)
    second = await stand.add(await stand.open(), [bob])
    await stand.work()

    assert stand.mailed() == ["bob"]
    message = (await stand.messages(second))["bob"]
    assert (message.status, message.reason, message.attempts) == ("delivered", None, 1)


async def test_of_two_that_follow_at_once_each_person_has_one(
    stand: Stand, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where two can be at it at all, both see what was left before either takes any of it."""
    looked, look = asyncio.Barrier(2), Gathering._left

    async def look_together(self: Gathering, ids: Sequence[UUID]) -> list[Left]:
        left = await look(self, ids)
        await looked.wait()
        return left

    await stand.publish()
    people = await stand.people(*(f"p{number}" for number in range(200)))
    first = await stand.add(await stand.open(), people, seal=False)
    await cancel(stand, first)
    sends = [await stand.open() for _ in range(2)]
    if kind == "postgresql":
        monkeypatch.setattr(Gathering, "_left", look_together)
    await asyncio.gather(
        *(stand.add(s, p) for s, p in zip(sends, (people, people[::-1]), strict=True))
    )
    await stand.work()

    assert stand.mailed() == sorted(f"p{number}" for number in range(200))
    counts = [(await stand.look(send)).counts for send in sends]
    assert sum(each.delivered for each in counts) == 200
    assert all(each.delivered + each.duplicate == each.audience == 200 for each in counts)
