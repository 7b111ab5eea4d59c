"""A server that refuses everybody says nothing about anybody: the send stops, nobody is barred."""

from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from uuid import UUID

import pytest

from martech.modules.delivery.contract import Send
from martech.modules.delivery.domain.outcomes import Accepted, Outcome, Refused
from martech.modules.delivery.domain.settling import UNDER_WAY
from tests.modules.delivery.stand import Stand, standing
from tests.modules.delivery.test_outcomes import numbers
from tests.modules.delivery.test_telling import told
from tests.sinks.smtp import Sink, sink

pytestmark = pytest.mark.anyio

MANY = [f"p{number}" for number in range(60)]
RETRY = timedelta(seconds=60)


def refusing(words: str, stage: str = "rcpt") -> AbstractAsyncContextManager[Sink]:
    return sink(f"{stage}:550", words={"550": words})


async def barred(stand: Stand) -> list[str]:
    async with stand.service() as service:
        return [each.address.partition("@")[0] for each in (await service.suppressions()).data]


async def resume(stand: Stand, send: Send) -> None:
    async with stand.service() as service:
        await service.resume_send(send.id)


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("rcpt", "relay not permitted"),
        ("rcpt", "Administrative error"),
        ("rcpt", "5.1.1 <p1@example.com>: User unknown in relay recipient table"),
        ("mail", "5.1.8 who are you"),
        ("end", "5.7.1 spam"),
    ],
)
async def test_a_send_that_is_refused_whoever_it_is_to_is_paused_and_nobody_is_lost_by_it(
    delivery_url: str, stage: str, words: str
) -> None:
    async with refusing(words, stage) as server, standing(delivery_url, server) as stand:
        send = await stand.to(*MANY)
        await stand.work()
        paused = await stand.look(send)
        assert (paused.status, numbers(paused.counts)) == ("paused", {"pending": 60})
        assert words.partition("<")[0].rstrip() in str(paused.problem)
        assert "@" not in str(paused.problem)
        assert await barred(stand) == []
        server.faults.plant()
        await resume(stand, send)
        assert (await stand.look(send)).problem is None
        await stand.work()
        done = await stand.look(send)
        assert (done.status, numbers(done.counts)) == ("completed", {"delivered": 60})
        assert stand.mailed() == sorted(MANY)
        assert await told(stand, "message_bounced") == 0


async def test_resumed_too_early_it_is_paused_again_and_says_so(delivery_url: str) -> None:
    async with refusing("no") as server, standing(delivery_url, server) as stand:
        send = await stand.to(*MANY)
        await stand.work()
        await resume(stand, send)
        await stand.work()
        paused = await stand.look(send)
        assert (paused.status, numbers(paused.counts)) == ("paused", {"pending": 60})
        assert "550 no" in str(paused.problem)
        assert {m.code for m in (await stand.messages(send)).values()} == {550}


@pytest.mark.parametrize(
    ("words", "dead"),
    [("no such user", []), ("5.2.1 disabled", []), ("5.1.1 no such user", ["ada", "bob"])],
)
async def test_few_who_are_all_refused_are_barred_only_by_a_word_that_is_about_them(
    delivery_url: str, words: str, dead: list[str]
) -> None:
    async with refusing(words) as server, standing(delivery_url, server) as stand:
        send = await stand.to("ada", "bob")
        await stand.work()
        done = await stand.look(send)
        assert (done.status, numbers(done.counts)) == ("completed", {"bounced": 2})
        assert await barred(stand) == dead


async def test_what_was_refused_at_the_end_waits_until_the_audience_is_complete(
    delivery_url: str,
) -> None:
    async with refusing("no such user") as server, standing(delivery_url, server) as stand:
        await stand.publish()
        send = await stand.add(await stand.open(), await stand.people("ada"), seal=False)
        await stand.work()
        assert numbers((await stand.look(send)).counts) == {"pending": 1}
        async with stand.service() as service:
            await service.seal_send(send.id)
        await stand.work()
        done = await stand.look(send)
        assert (done.status, numbers(done.counts)) == ("completed", {"bounced": 1})


async def test_one_that_is_put_off_keeps_no_other_waiting(delivery_url: str) -> None:
    async with (
        sink("rcpt:550:ada@*", "rcpt:450") as server,
        standing(delivery_url, server) as stand,
    ):
        send = await stand.to("ada", "bob")
        await stand.work()
        assert numbers((await stand.look(send)).counts) == {"bounced": 1, "deferred": 1}


LATER = Refused(450, "later", "RCPT")
NO = Refused(550, "no such user", "RCPT")
GONE = Refused(550, "5.1.1 no such user", "RCPT")


async def turn(stand: Stand, send: Send, lane: int, *said: Outcome) -> dict[str, Outcome]:
    """What *lane* takes and hears; by whose mail it was."""
    async with stand.service() as service:
        claim = await service.claim(held := await service.hold(send.id), lane, len(said))
        await service.finish(held)
    results: dict[UUID, Outcome] = {
        each.id: word for each, word in zip(claim.messages, said, strict=True)
    }
    async with stand.service() as service:
        held = await service.hold(send.id)
        await service.settle(held, lane, results, otherwise=NO, retry=RETRY)
        await service.finish(held)
    return {each.person.address.partition("@")[0]: results[each.id] for each in claim.messages}


async def test_once_the_server_has_taken_a_mail_many_whom_it_does_not_know_stop_nothing(
    stand: Stand,
) -> None:
    send = await stand.to(*MANY)
    await turn(stand, send, 0, Accepted("250"), *[GONE] * 59)
    done = await stand.look(send)
    assert (done.status, numbers(done.counts)) == ("completed", {"delivered": 1, "bounced": 59})
    assert len(await barred(stand)) == 59


async def test_a_row_is_of_all_lanes_and_ends_with_a_mail_that_is_accepted(stand: Stand) -> None:
    send = await stand.to(*(f"p{number}" for number in range(160)))
    first = await turn(stand, send, 0, *[NO] * 30)
    assert numbers((await stand.look(send)).counts) == {"pending": 160}
    assert (await barred(stand), await told(stand, "message_bounced")) == ([], 0)
    await turn(stand, send, 1, *[LATER] * UNDER_WAY, Accepted("ok"), *[NO] * 29)
    assert sorted(await barred(stand)) == sorted(first)
    assert await told(stand, "message_bounced") == 30
    counts = (await stand.look(send)).counts
    assert (counts.bounced, counts.delivered, counts.deferred) == (30, 1, UNDER_WAY)
    await turn(stand, send, 0, *[NO] * 20)
    assert (await stand.look(send)).status == "open"
    await turn(stand, send, 1, NO)
    paused = await stand.look(send)
    assert (paused.status, paused.counts.bounced) == ("paused", 30)
    assert "50 mails in a row" in str(paused.problem)


async def test_a_mail_that_was_under_way_says_nothing_of_those_refused_meanwhile(
    stand: Stand,
) -> None:
    send = await stand.to(*(f"p{number}" for number in range(100)))
    await turn(stand, send, 0, *[NO] * 3, Accepted("ok"), *[NO] * 10)
    assert (await barred(stand), await told(stand, "message_bounced")) == ([], 0)
    await turn(stand, send, 1, *[NO] * 37)
    paused = await stand.look(send)
    assert (paused.status, paused.counts.bounced) == ("paused", 0)


async def test_what_is_in_hand_when_it_stops_waits_too(stand: Stand) -> None:
    send = await stand.to(*MANY)
    async with stand.service() as service:
        claim = await service.claim(held := await service.hold(send.id), 1, 5)
        await service.finish(held)
    await turn(stand, send, 0, *[NO] * 50)
    results: dict[UUID, Outcome] = {each.id: NO for each in claim.messages}
    async with stand.service() as service:
        held = await service.hold(send.id)
        await service.settle(held, 1, results, otherwise=NO, retry=RETRY)
        await service.finish(held)
    assert numbers((await stand.look(send)).counts) == {"pending": 60}
    await resume(stand, send)
    await stand.work()
    assert stand.mailed() == sorted(MANY)


async def test_a_server_that_then_goes_away_hides_not_why_it_stopped(stand: Stand) -> None:
    send = await stand.to(*MANY)
    await turn(stand, send, 0, *[NO] * 50)
    async with stand.service() as service:
        held = await service.hold(send.id)
        service.obstruct(held, "The server is away.")
        await service.finish(held)
    assert "50 mails in a row" in str((await stand.look(send)).problem)


async def test_what_was_refused_in_a_row_is_cancelled_with_the_send_and_another_may_send_it(
    stand: Stand,
) -> None:
    send = await stand.to(*"abcde")
    await turn(stand, send, 0, NO, NO)
    async with stand.service() as service:
        await service.cancel_send(send.id)
    cancelled = await stand.look(send)
    assert (cancelled.status, numbers(cancelled.counts)) == ("cancelled", {"cancelled": 5})
    people = [message.profile_id for message in (await stand.messages(send)).values()]
    again = await stand.add(await stand.open(), people)
    await stand.work()
    assert numbers((await stand.look(again)).counts) == {"delivered": 5}
