"""A send, from its opening to its end, with a real mail server at the other end."""

from uuid import uuid4

import pytest

from martech.kernel.errors import Conflict, NotFound, Unavailable
from tests.modules.delivery.stand import Stand

pytestmark = pytest.mark.anyio


async def test_everybody_who_can_be_written_to_gets_one_mail(stand: Stand) -> None:
    send = await stand.to("ada", "bob", "eve")
    await stand.work()
    assert stand.mailed() == ["ada", "bob", "eve"]
    done = await stand.look(send)
    assert (done.status, done.counts.delivered, done.counts.sent) == ("completed", 3, 3)
    assert done.completed_at == stand.clock.now()


async def test_a_send_is_not_over_before_its_audience_is_complete(stand: Stand) -> None:
    await stand.publish()
    send = await stand.add(await stand.open(), await stand.people("ada"), seal=False)
    await stand.work()
    assert (await stand.look(send)).status == "open"
    async with stand.service() as service:
        assert (await service.seal_send(send.id)).status == "completed"


async def test_asking_again_changes_nothing(stand: Stand) -> None:
    await stand.publish()
    people = await stand.people("ada", "bob")
    send = await stand.open()
    assert await stand.open(send.id) == send
    first = await stand.add(send, people)
    assert await stand.add(send, people) == first
    await stand.work()
    done = await stand.look(send)
    assert await stand.add(send, people) == done
    assert stand.mailed() == ["ada", "bob"]


async def test_an_id_stands_for_one_send(stand: Stand) -> None:
    await stand.publish()
    send = await stand.open()
    with pytest.raises(Conflict):
        await stand.open(send.id, occasion="2")


async def test_what_nobody_heard_of_yet_is_unavailable(stand: Stand) -> None:
    with pytest.raises(Unavailable):
        await stand.open()
    await stand.publish()
    send = await stand.open()
    with pytest.raises(Unavailable):
        await stand.add(send, [uuid4()])


async def test_who_is_not_heard_of_for_ten_minutes_is_unreachable(stand: Stand) -> None:
    await stand.publish()
    send = await stand.open()
    await stand.work(later=601)
    send = await stand.add(send, [uuid4()])
    assert (send.counts.audience, send.counts.unreachable, send.status) == (1, 1, "completed")


async def test_there_is_one_mail_for_an_address_and_none_without(stand: Stand) -> None:
    await stand.publish()
    ada, bob, eve = await stand.people("ada", "bob", "eve")
    await stand.change(bob, email="ADA@example.com")
    await stand.change(eve, email="nowhere")
    send = await stand.add(await stand.open(), [ada, bob, eve])
    await stand.work()
    counts = (await stand.look(send)).counts
    assert stand.mailed() == ["ada"]
    assert (counts.audience, counts.delivered, counts.duplicate, counts.unreachable) == (3, 1, 1, 1)


async def test_another_send_for_the_same_occasion_reaches_nobody_twice(stand: Stand) -> None:
    await stand.to("ada")
    second = await stand.open()
    ada = next(iter((await stand.messages(await stand.look(second))).values()), None)
    assert ada is None
    async with stand.service() as service:
        page = await service.messages()
    second = await stand.add(second, [page.data[0].profile_id])
    await stand.work()
    assert stand.mailed() == ["ada"]
    assert (second.counts.duplicate, second.status) == (1, "completed")


async def test_a_message_has_the_same_id_whoever_asks(stand: Stand) -> None:
    send = await stand.to("ada")
    await stand.work()
    (message,) = (await stand.messages(send)).values()
    assert f"<{message.id}@shop.example>" in stand.sink.mails[0].data


async def test_a_merged_person_gets_one_mail_as_who_they_are_today(stand: Stand) -> None:
    await stand.publish()
    ada, gone = await stand.people("ada", "augusta")
    send = await stand.add(await stand.open(), [gone], seal=False)
    await stand.merge(ada, gone)
    await stand.change(ada, email="augusta@example.com")
    send = await stand.add(send, [ada, gone])
    assert send.counts.audience == 1
    await stand.work()
    assert "Subject: ada, it is winter" in stand.sink.mails[0].data
    assert stand.mailed() == ["augusta"]


async def test_nothing_is_sent_while_paused_and_nothing_after_it_was_cancelled(
    stand: Stand,
) -> None:
    send = await stand.to("ada", "bob")
    async with stand.service() as service:
        await service.pause_send(send.id)
    await stand.work()
    assert stand.mailed() == []
    async with stand.service() as service:
        await service.resume_send(send.id)
        cancelled = await service.cancel_send(send.id)
    await stand.work()
    assert stand.mailed() == []
    assert (cancelled.status, cancelled.counts.cancelled, cancelled.counts.pending) == (
        "cancelled",
        2,
        0,
    )
    with pytest.raises(Conflict):
        async with stand.service() as service:
            await service.resume_send(send.id)


async def test_a_withdrawn_version_is_sent_to_nobody_more_whatever_is_published_later(
    stand: Stand,
) -> None:
    send = await stand.to("ada", "bob", rate=1.0)
    await stand.work()
    (early,) = stand.mailed()
    await stand.withdraw()
    await stand.work(later=5)
    problem = str((await stand.look(send)).problem)
    assert "Version 1 of the content was withdrawn" in problem
    assert "cancel this send" in problem
    await stand.publish(2, subject="This is the right price")
    await stand.publish(1)
    await stand.work(later=5)
    assert stand.mailed() == [early]
    assert (await stand.look(send)).problem == problem
    with pytest.raises(Conflict, match=r"Version 1 .* was withdrawn"):
        await stand.open()
    async with stand.service() as service:
        await service.cancel_send(send.id)
        left = [message.profile_id for message in (await service.messages()).data]
    again = await stand.add(await stand.open(content_version=2), left)
    await stand.work()
    assert stand.mailed() == ["ada", "bob"]
    assert "Subject: This is the right price" in stand.sink.mails[1].data
    assert (await stand.look(again)).status == "completed"


async def test_a_template_that_does_not_render_fails_that_message_alone(stand: Stand) -> None:
    await stand.publish(subject="{{ 100 | divided_by: profile.traits.n }}")
    ada, bob = await stand.people("ada", "bob")
    await stand.change(ada, n=2)
    await stand.change(bob, n=0)
    send = await stand.add(await stand.open(), [ada, bob])
    await stand.work()
    messages = await stand.messages(send)
    assert stand.mailed() == ["ada"]
    assert messages["bob"].status == "failed"
    assert "does not render" in str(messages["bob"].reason)
    assert (await stand.look(send)).status == "completed"


async def test_there_is_no_send_that_was_not_opened(stand: Stand) -> None:
    with pytest.raises(NotFound):
        async with stand.service() as service:
            await service.send(uuid4())


async def test_a_send_keeps_to_its_rate(stand: Stand) -> None:
    send = await stand.to(*(f"p{number}" for number in range(30)), rate=2.0)
    await stand.work()
    assert len(stand.mailed()) == 1  # the clock stands still
    for seconds in (1, 1, 1):
        await stand.work(later=seconds)
    assert 1 <= len(stand.mailed()) <= 7
    async with stand.service() as service:
        await service.change_rate(send.id, None)
    await stand.work()
    assert len(stand.mailed()) == 30
