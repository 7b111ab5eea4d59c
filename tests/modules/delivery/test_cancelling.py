"""A send of many that is cancelled: at once for whoever claims, in batches for the ledger."""

import pytest

from martech.modules.delivery.contract import Send
from martech.modules.delivery.service import cancelling
from tests.modules.delivery.stand import Stand

pytestmark = pytest.mark.anyio


@pytest.fixture
def few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "BATCH", 2)


async def cancel(stand: Stand, send: Send) -> Send:
    async with stand.service() as service:
        cancelled: Send = await service.cancel_send(send.id)
    return cancelled


@pytest.mark.usefixtures("few_at_a_time")
async def test_however_many_wait_one_transaction_cancels_few_and_others_the_rest(
    stand: Stand,
) -> None:
    answer = await cancel(stand, send := await stand.to(*"abcde"))
    assert (answer.status, answer.counts.cancelled, answer.counts.pending) == ("cancelled", 2, 3)
    await stand.work()
    done = await stand.look(send)
    assert (done.status, done.counts.cancelled, done.counts.pending) == ("cancelled", 5, 0)
    assert {message.status for message in (await stand.messages(send)).values()} == {"cancelled"}
    assert stand.mailed() == []


@pytest.mark.usefixtures("few_at_a_time")
async def test_nothing_is_claimed_once_the_cancel_was_answered_though_much_still_waits(
    stand: Stand,
) -> None:
    await cancel(stand, send := await stand.to(*"abcde"))
    async with stand.service() as service:
        claim = await service.claim(held := await service.hold(send.id), 0, 10)
        assert held.numbers["pending"] == 3
    assert claim.messages == []
    assert claim.again_at is None


@pytest.mark.usefixtures("few_at_a_time")
async def test_what_was_broken_off_between_two_batches_goes_on_when_it_is_cancelled_again(
    stand: Stand,
) -> None:
    await cancel(stand, send := await stand.to(*"abcde"))
    assert (await cancel(stand, send)).counts.cancelled == 4
    assert (await cancel(stand, send)).counts.cancelled == 5
    assert await cancel(stand, send) == await stand.look(send)
