"""A send that follows a cancelled one of the same source and occasion: the ledger decides who had
it, and whoever did not gets it now."""

import pytest

from martech.kernel.errors import Unavailable
from martech.modules.delivery.contract import Send
from martech.modules.delivery.service import cancelling
from tests.modules.delivery.stand import Stand

pytestmark = pytest.mark.anyio


async def cancel(stand: Stand, send: Send) -> None:
    async with stand.service() as service:
        await service.cancel_send(send.id)


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
