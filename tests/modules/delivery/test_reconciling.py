"""What the mail server's log settles, and which log is not believed."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from martech.kernel.errors import Conflict
from martech.modules.delivery.contract import Reconciled, Send
from martech.modules.delivery.domain.outcomes import Accepted, Ambiguous, Outcome
from martech.modules.delivery.service import reconciling
from tests.modules.delivery.stand import Stand

pytestmark = pytest.mark.anyio

BROKE = Ambiguous("it broke")


async def handed_over(stand: Stand, *names: str, known: str = "", **more: object) -> Send:
    """A send of which the server's word is known for *known* only: it accepted those."""
    send = await stand.to(*names, **more)
    async with stand.service() as service:
        claim = await service.claim(held := await service.hold(send.id), 0, 100)
        results: dict[UUID, Outcome] = {
            each.id: Accepted("ok") if each.person.address[0] in known else BROKE
            for each in claim.messages
        }
        await service.settle(held, 0, results, otherwise=BROKE, retry=timedelta(seconds=60))
        seen: Send = await service.finish(held)
    return seen


async def ids(stand: Stand, send: Send, names: str) -> list[UUID]:
    messages = await stand.messages(send)
    return [messages[name].id for name in names]


@pytest.mark.parametrize("foreign", [[], [uuid4()]])
async def test_a_log_that_lacks_what_the_server_accepted_is_refused_unless_it_is_insisted_on(
    stand: Stand, foreign: list[UUID]
) -> None:
    send = await handed_over(stand, "ada", "bob", "eve", known="ab")
    with pytest.raises(Conflict, match=rf"{send.id} \(2 accepted\).*`force: true`") as refused:
        async with stand.service() as service:
            await service.reconcile(foreign, stand.clock.now())
    assert refused.value.field == "accepted"
    assert await stand.look(send) == send
    async with stand.service() as service:
        settled = await service.reconcile(foreign, stand.clock.now(), force=True)
    assert (settled.pending, settled.ambiguous) == (1, 0)
    await stand.work()
    assert stand.mailed() == ["eve"]


async def test_a_log_that_knows_one_send_is_not_believed_about_another(stand: Stand) -> None:
    first = await handed_over(stand, "ada", "bob", known="a")
    await handed_over(stand, "eve", "kim", known="e", occasion="2")
    log = await ids(stand, first, ["ada", "bob"])
    with pytest.raises(Conflict):
        async with stand.service() as service:
            await service.reconcile(log, stand.clock.now())
    assert (await stand.look(first)).counts.ambiguous == 1


async def test_the_log_of_a_server_that_accepted_nothing_that_we_know_of_may_be_empty(
    stand: Stand,
) -> None:
    send = await handed_over(stand, "ada", "bob")
    async with stand.service() as service:
        settled = await service.reconcile([], stand.clock.now())
    assert settled.pending == 2
    await handed_over(stand, "eve", known="e", occasion="2")
    assert (await stand.look(send)).counts.ambiguous == 0
    await handed_over(stand, "kim", occasion="3")
    with pytest.raises(Conflict, match="that it ever accepted"):
        async with stand.service() as service:
            await service.reconcile([], stand.clock.now())


async def test_a_part_of_the_log_settles_what_it_has_and_has_nothing_sent_again(
    stand: Stand,
) -> None:
    send = await handed_over(stand, *"abcd", known="a")
    async with stand.service() as service:
        part = await service.reconcile(await ids(stand, send, "b"), None)
    assert (part.delivered, part.pending, part.ambiguous) == (1, 0, 2)
    async with stand.service() as service:
        rest = await service.reconcile(await ids(stand, send, "c"), stand.clock.now())
    assert (rest.delivered, rest.pending, rest.ambiguous) == (1, 1, 0)
    await stand.work()
    assert stand.mailed() == ["d"]
    assert (await stand.look(send)).status == "completed"


async def test_however_many_are_ambiguous_one_request_settles_few(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciling, "BATCH", 2)
    first = await handed_over(stand, *"abcdef", known="a")
    second = await handed_over(stand, *"ghi", known="g", occasion="2")
    log = [*await ids(stand, first, "abcd"), *await ids(stand, second, "ghi")]
    until = stand.clock.now()
    answers: list[Reconciled] = []
    while not answers or answers[-1].more:
        async with stand.service() as service:
            answers.append(await service.reconcile(log, until))
    assert [answer.delivered + answer.pending for answer in answers] == [2, 2, 2, 1]
    assert [answer.ambiguous for answer in answers] == [5, 3, 1, 0]
    assert sum(answer.delivered for answer in answers) == 5
    await stand.work()
    assert stand.mailed() == ["e", "f"]
