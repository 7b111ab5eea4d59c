"""Whatever happens in whatever order: the numbers are the ledger's, and nobody is lost."""

from collections import Counter
from datetime import timedelta
from random import Random
from uuid import UUID

import pytest

from martech.kernel.errors import Conflict
from martech.modules.delivery.contract import Send
from martech.modules.delivery.domain.ledger import AUDIENCE, OPEN
from martech.modules.delivery.domain.outcomes import Accepted, Ambiguous, NotTried, Outcome, Refused
from tests.modules.delivery.stand import START, Stand

pytestmark = pytest.mark.anyio

OUTCOMES: list[Outcome] = [
    Accepted("ok"),
    Accepted("ok"),
    Refused(450, "later", "RCPT"),
    Refused(550, "nobody", "RCPT"),
    Refused(554, "no", "END"),
    Ambiguous("it broke"),
    NotTried("no time"),
]
RETRY = timedelta(seconds=60)


class Story:
    """Random things done to one send, one after the other, and checked after each."""

    def __init__(self, stand: Stand, seed: int) -> None:
        self.stand = stand
        self.dice = Random(seed)
        self.held: dict[int, list[UUID]] = {}

    async def step(self, send: Send, people: list[UUID]) -> None:
        dice, stand = self.dice, self.stand
        lane = dice.randrange(3)
        async with stand.service() as service:
            match dice.randrange(10):
                case 0 | 1:
                    await service.add_recipients(send.id, dice.sample(people, 8))
                case 2 | 3 | 4:
                    held = await service.hold(send.id)
                    results = {id_: dice.choice(OUTCOMES) for id_ in self.held.get(lane, [])}
                    await service.settle(held, lane, results, otherwise=OUTCOMES[5], retry=RETRY)
                    claim = await service.claim(held, lane, dice.randrange(9))
                    await service.finish(held)
                    self.held[lane] = [each.id for each in claim.messages]
                case 5:
                    self.held.pop(lane, None)  # who held it has died
                case 6:
                    await service.reconcile(
                        [m.id for m in (await service.messages(status="ambiguous")).data][::2],
                        since=START,
                        until=stand.clock.now(),
                        force=True,
                    )
                case 7:
                    await service.suppress(f"p{dice.randrange(40)}@example.com", source="test")
                case 8:
                    await service.pause_send(send.id)
                case _:
                    await service.resume_send(send.id)
        stand.clock.move(timedelta(seconds=dice.randrange(90)))

    async def end(self, send: Send) -> None:
        """Settle what is held, and send what is left."""
        stand = self.stand
        async with stand.service() as service:
            await service.resume_send(send.id)
        async with stand.service() as service:
            await service.seal_send(send.id)
        for lane in range(3):
            async with stand.service() as service:
                held = await service.hold(send.id)
                await service.settle(held, lane, {}, otherwise=OUTCOMES[5], retry=RETRY)
                await service.finish(held)
        for _ in range(30):
            await stand.work(later=3600)
            async with stand.service() as service:
                await service.reconcile([], since=START, until=stand.clock.now(), force=True)


async def check(stand: Stand, send: Send) -> Send:
    """The numbers of *send*, which must be those of the ledger's rows. (Not so of a cancelled one
    that another followed: its numbers stay, and the rows are that one's.)"""
    now = await stand.look(send)
    states = Counter(message.status for message in (await stand.messages(send)).values())
    counts = {name: getattr(now.counts, name) for name in AUDIENCE}
    for state, number in states.items():
        assert counts[state] == number
    assert sum(counts.values()) == now.counts.audience
    assert sum(states.values()) == now.counts.audience - counts["unreachable"] - counts["duplicate"]
    still_open = any(counts[name] for name in OPEN)
    assert (now.status == "completed") <= (now.sealed and not still_open)
    return now


@pytest.mark.parametrize("seed", range(4))
async def test_the_numbers_are_the_ledgers_whatever_happens(stand: Stand, seed: int) -> None:
    await stand.publish()
    people = await stand.people(*(f"p{number}" for number in range(40)))
    await stand.change(people[0], email="p1@example.com")
    await stand.change(people[2], email=None)
    send = await stand.open()
    story = Story(stand, seed)
    for _ in range(60):
        await story.step(send, people)
        await check(stand, send)
    await story.end(send)
    done = await check(stand, send)
    assert done.status == "completed"
    assert not any(getattr(done.counts, name) for name in OPEN)


async def test_what_is_in_somebodys_hands_when_a_send_is_cancelled_is_settled_all_the_same(
    stand: Stand,
) -> None:
    send = await stand.to("ada", "bob", "eve", "kim")
    async with stand.service() as service:
        held = await service.hold(send.id)
        claim = await service.claim(held, 0, 3)
        await service.finish(held)
    async with stand.service() as service:
        await service.cancel_send(send.id)
    results = [Accepted("ok"), NotTried("no time"), Refused(450, "later", "RCPT")]
    named = {each.id: result for each, result in zip(claim.messages, results, strict=True)}
    async with stand.service() as service:
        held = await service.hold(send.id)
        await service.settle(held, 0, named, otherwise=OUTCOMES[5], retry=RETRY)
        await service.finish(held)
    done = await check(stand, send)
    assert (done.status, done.counts.delivered, done.counts.cancelled) == ("cancelled", 1, 3)
    with pytest.raises(Conflict):
        async with stand.service() as service:
            await service.resume_send(send.id)
