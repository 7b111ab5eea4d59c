"""What the mail server's log settles, and which log is not believed."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TypedDict
from uuid import UUID, uuid4

import msgspec
import pytest

from martech.kernel.db import Transaction
from martech.kernel.errors import Conflict, Invalid
from martech.modules.delivery.contract import MessageSent, Reconciled, Send, SentMessage
from martech.modules.delivery.domain.claims import Claim
from martech.modules.delivery.domain.outcomes import Accepted, Ambiguous, Outcome
from martech.modules.delivery.service import DeliveryService, reconciling
from tests.modules.delivery.stand import START, Stand

pytestmark = pytest.mark.anyio

BROKE = Ambiguous("it broke")
HOUR = timedelta(hours=1)


class Whole(TypedDict, total=False):
    since: datetime
    until: datetime


def whole(stand: Stand) -> Whole:
    """That a log has everything that there has been."""
    return {"since": START, "until": stand.clock.now()}


async def claimed(stand: Stand, send: Send, most: int = 100) -> Claim:
    async with stand.service() as service:
        claim = await service.claim(held := await service.hold(send.id), 0, most)
        await service.finish(held)
    return claim


async def settled(stand: Stand, send: Send, results: dict[UUID, Outcome]) -> Send:
    """Nobody knows of those that are not among *results*."""
    async with stand.service() as service:
        held = await service.hold(send.id)
        await service.settle(held, 0, results, otherwise=BROKE, retry=timedelta(seconds=60))
        seen: Send = await service.finish(held)
    return seen


async def handed_over(stand: Stand, *names: str, known: str = "", **more: object) -> Send:
    """A send of which the server's word is known for *known* only: it accepted those."""
    return await tried(stand, await stand.to(*names, **more), known)


async def tried(
    stand: Stand, send: Send, known: str, *, took: timedelta = timedelta(), most: int = 100
) -> Send:
    """Its next *most* messages are claimed, and *took* later that is what is known of them."""
    claim = await claimed(stand, send, most)
    stand.clock.move(took)
    results: dict[UUID, Outcome] = {
        each.id: Accepted("ok") if each.person.address[0] in known else BROKE
        for each in claim.messages
    }
    return await settled(stand, send, results)


async def ids(stand: Stand, send: Send, names: Iterable[str]) -> list[UUID]:
    messages = await stand.messages(send)
    return [messages[name].id for name in names]


async def told(stand: Stand) -> list[SentMessage]:
    """Whom others have heard to be written to."""
    feed = stand.host.feed("delivery")
    records = await feed.read(after=0, types=["delivery.message_sent.v1"], items=1000)
    return [
        each
        for record in records
        for each in msgspec.json.decode(record.data, type=MessageSent).items
    ]


async def waiting(stand: Stand, send: Send) -> list[str]:
    messages = await stand.messages(send)
    return [name for name, message in messages.items() if message.status == "pending"]


@pytest.mark.parametrize("foreign", [[], [uuid4()]])
async def test_a_log_that_lacks_what_the_server_accepted_is_refused_unless_it_is_insisted_on(
    stand: Stand, foreign: list[UUID]
) -> None:
    send = await handed_over(stand, "ada", "bob", "eve", known="ab")
    with pytest.raises(Conflict, match=rf"{send.id} \(2 accepted\).*`force: true`") as refused:
        async with stand.service() as service:
            await service.reconcile(foreign, **whole(stand))
    assert refused.value.field == "accepted"
    assert await stand.look(send) == send
    async with stand.service() as service:
        settled = await service.reconcile(foreign, force=True, **whole(stand))
    assert (settled.pending, settled.ambiguous) == (1, 0)
    await stand.work()
    assert stand.mailed() == ["eve"]


async def test_a_log_that_knows_one_send_is_not_believed_about_another(stand: Stand) -> None:
    first = await handed_over(stand, "ada", "bob", known="a")
    await handed_over(stand, "eve", "kim", known="e", occasion="2")
    log = await ids(stand, first, ["ada", "bob"])
    with pytest.raises(Conflict):
        async with stand.service() as service:
            await service.reconcile(log, **whole(stand))
    assert (await stand.look(first)).counts.ambiguous == 1


async def test_the_log_of_a_server_that_accepted_nothing_that_we_know_of_may_be_empty(
    stand: Stand,
) -> None:
    send = await handed_over(stand, "ada", "bob")
    async with stand.service() as service:
        settled = await service.reconcile([], **whole(stand))
    assert settled.pending == 2
    await handed_over(stand, "eve", known="e", occasion="2")
    assert (await stand.look(send)).counts.ambiguous == 0
    await handed_over(stand, "kim", occasion="3")
    with pytest.raises(Conflict, match="that it ever accepted"):
        async with stand.service() as service:
            await service.reconcile([], **whole(stand))


async def test_a_part_of_the_log_settles_what_it_has_and_has_nothing_sent_again(
    stand: Stand,
) -> None:
    send = await handed_over(stand, *"abcd", known="a")
    async with stand.service() as service:
        part = await service.reconcile(await ids(stand, send, "b"))
    assert (part.delivered, part.pending, part.ambiguous) == (1, 0, 2)
    async with stand.service() as service:
        rest = await service.reconcile(await ids(stand, send, "c"), **whole(stand))
    assert (rest.delivered, rest.pending, rest.ambiguous) == (1, 1, 0)
    await stand.work()
    assert stand.mailed() == ["d"]
    assert (await stand.look(send)).status == "completed"


async def test_what_was_delivered_was_so_when_it_was_handed_over_whoever_learns_it_when(
    stand: Stand,
) -> None:
    """An order between the two is a conversion, and the day's numbers are that day's."""
    send = await stand.to("ada")
    await tried(stand, send, "", took=HOUR)
    stand.clock.move(48 * HOUR)
    async with stand.service() as service:
        await service.reconcile(await ids(stand, send, ["ada"]))
    (sent,) = await told(stand)
    assert sent.at == START
    assert (await stand.messages(send))["ada"].settled_at == stand.clock.now()
    async with stand.service() as service:
        ((noted, _),) = await service.noted(10)
    assert (noted.kind, noted.at) == ("delivered", START)


async def test_however_many_are_ambiguous_one_request_settles_few(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciling, "BATCH", 2)
    first = await handed_over(stand, *"abcdef", known="a")
    second = await handed_over(stand, *"ghi", known="g", occasion="2")
    log = [*await ids(stand, first, "abcd"), *await ids(stand, second, "ghi")]
    answers: list[Reconciled] = []
    while not answers or answers[-1].more:
        async with stand.service() as service:
            answers.append(await service.reconcile(log, **whole(stand)))
    assert [answer.delivered + answer.pending for answer in answers] == [2, 2, 2, 1]
    assert [answer.ambiguous for answer in answers] == [5, 3, 1, 0]
    assert sum(answer.delivered for answer in answers) == 5
    await stand.work()
    assert stand.mailed() == ["e", "f"]


async def test_what_was_handed_over_before_the_log_begins_is_not_sent_again(stand: Stand) -> None:
    """A rotated log has mails of the send, and none of an earlier day."""
    send = await stand.to("ada", "bob", "eve", "kim")
    await tried(stand, send, "", most=2)
    stand.clock.move(HOUR)
    since = stand.clock.now()
    known, _ = await waiting(stand, send)
    await tried(stand, send, known[0])
    log = await ids(stand, send, [known])
    async with stand.service() as service:
        settled = await service.reconcile(log, since=since, until=stand.clock.now())
    assert (settled.pending, settled.ambiguous) == (1, 2)


@pytest.mark.parametrize(
    ("since", "until", "again"),
    [
        (timedelta(), 2 * HOUR, 1),
        (HOUR / 60, 2 * HOUR, 0),
        (timedelta(), 2 * HOUR - HOUR / 60, 0),
        (HOUR, HOUR, 0),
    ],
)
async def test_only_what_lay_in_hand_within_the_log_is_sent_again(
    stand: Stand, since: timedelta, until: timedelta, again: int
) -> None:
    await tried(stand, await stand.to("ada"), "", took=2 * HOUR)
    stand.clock.move(HOUR)
    async with stand.service() as service:
        settled = await service.reconcile([], since=START + since, until=START + until)
    assert (settled.pending, settled.ambiguous) == (again, 1 - again)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"until": START}, "since"),
        ({"since": START}, "until"),
        ({"since": START, "until": START - HOUR}, "since"),
        ({"since": START, "until": START + HOUR}, "until"),
    ],
)
async def test_a_log_that_covers_no_time_settles_nothing(
    stand: Stand, said: Whole, field: str
) -> None:
    send = await handed_over(stand, "ada")
    with pytest.raises(Invalid) as refused:
        async with stand.service() as service:
            await service.reconcile(await ids(stand, send, ["ada"]), **said)
    assert refused.value.field == field
    assert (await stand.look(send)).counts.ambiguous == 1


class Late(DeliveryService):
    """Reconciles while a lane settles: what it looks up first is not so any more when it holds the
    sends. On SQLite nobody else writes meanwhile."""

    def __init__(self, tx: Transaction, meanwhile: Callable[[], Awaitable[object]]) -> None:
        super().__init__(tx)
        self._meanwhile = meanwhile

    async def _concerned(self) -> Sequence[UUID]:
        await self._meanwhile()
        return await super()._concerned()


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_what_is_in_the_log_is_not_sent_again_whenever_it_became_ambiguous(
    stand: Stand,
) -> None:
    send = await stand.to("ada", "bob")
    claim = await claimed(stand, send)

    async def breaks() -> None:
        await settled(stand, send, {})

    async with stand.host.databases["delivery"].transaction(stand.tenant) as tx:
        log = await ids(stand, send, ["ada"])
        done = await Late(tx, breaks).reconcile(log, force=True, **whole(stand))
    assert len(claim.messages) == 2
    assert (done.delivered, done.pending, done.ambiguous) == (1, 1, 0)
    await stand.work()
    assert stand.mailed() == ["bob"]
