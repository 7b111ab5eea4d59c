"""What becomes of a message by what the mail server says of it."""

from uuid import UUID

import pytest

from martech.modules.delivery.contract import Counts
from martech.modules.delivery.domain.outcomes import Dead, Refused
from martech.modules.delivery.domain.server import mail_server
from tests.modules.delivery.stand import START, Stand, standing
from tests.sinks.smtp import sink

pytestmark = pytest.mark.anyio


def numbers(counts: Counts) -> dict[str, int]:
    """Those that are not zero, without the sums."""
    shown = {name: getattr(counts, name) for name in counts.__struct_fields__}
    return {name: n for name, n in shown.items() if n and name not in ("audience", "sent")}


async def test_an_address_that_the_server_refuses_bounces_and_is_never_tried_again(
    delivery_url: str,
) -> None:
    async with sink("rcpt:550:bob@*") as server, standing(delivery_url, server) as stand:
        send = await stand.to("ada", "bob")
        await stand.work()
        assert numbers((await stand.look(send)).counts) == {"delivered": 1, "bounced": 1}
        bob = (await stand.messages(send))["bob"]
        assert (bob.status, bob.code, bob.attempts) == ("bounced", 550, 1)
        again = await stand.add(await stand.open(occasion="2"), [bob.profile_id])
        await stand.work()
        assert numbers((await stand.look(again)).counts) == {"suppressed": 1}
        assert (await stand.messages(again))["bob"].reason == "bounced"


@pytest.mark.parametrize(
    ("code", "text", "dead"),
    [
        (550, "5.1.1 no such user", "surely"),
        (550, "5.1.1 <a@b.example>: User unknown in relay recipient table", "surely"),
        (556, "5.1.10 b.example takes no mail", "surely"),
        (550, "5.2.1 mailbox disabled", "perhaps"),
        (550, "5.0.0 no", "perhaps"),
        (550, "no such user", "perhaps"),
        (550, "<relay@blocked.example>: no such user", "perhaps"),
        (553, "mailbox name not allowed", "perhaps"),
        (554, "5.7.1 <a@b.example>: Relay access denied", "no"),
        (550, "5.7.26 unauthenticated", "no"),
        (550, "5.1.8 <news@shop.example>: Sender address rejected: Domain not found", "no"),
        (550, "5.1.0 Sender rejected", "no"),
        (552, "5.2.2 mailbox full", "no"),
        (530, "5.7.0 Authentication required", "no"),
        (550, "relay not permitted", "no"),
        (550, "Administrative prohibition", "no"),
        (550, "you are listed: blocked by RBL", "no"),
        (550, "Unauthorized", "no"),
        (554, "relaying denied", "no"),
        (503, "bad sequence of commands", "no"),
    ],
)
def test_an_address_is_dead_only_if_the_server_says_so(code: int, text: str, dead: Dead) -> None:
    """A server that refuses us refuses everybody: nobody is to be barred for ever for that."""
    assert Refused(code, text, "RCPT").dead == dead
    assert Refused(code, text, "MAIL").dead == "no"


async def test_a_refusal_of_the_message_says_nothing_about_the_address(delivery_url: str) -> None:
    async with sink("end:554:*") as server, standing(delivery_url, server) as stand:
        send = await stand.to("ada")
        await stand.work()
        assert numbers((await stand.look(send)).counts) == {"bounced": 1}
        async with stand.service() as service:
            assert await service.suppressed("ada@example.com") == []


async def test_later_is_tried_again_with_longer_and_longer_waits_and_given_up_at_last(
    delivery_url: str,
) -> None:
    async with (
        sink("rcpt:450:ada@*") as server,
        standing(delivery_url, server, retry_seconds=60) as stand,
    ):
        send = await stand.to("ada", "bob")
        await stand.work()
        assert numbers((await stand.look(send)).counts) == {"delivered": 1, "deferred": 1}
        waits = []
        for _ in range(20):
            ada = (await stand.messages(send))["ada"]
            if ada.due_at is None:
                break
            waits.append((ada.due_at - stand.clock.now()).total_seconds())
            await stand.work(later=waits[-1] + 1)
        assert waits == sorted(waits)
        assert len(waits) == 9
        assert 60 <= waits[0] <= 75
        done = await stand.look(send)
        assert numbers(done.counts) == {"delivered": 1, "failed": 1}
        assert done.status == "completed"


async def test_what_was_put_off_arrives_when_the_server_takes_it(delivery_url: str) -> None:
    async with sink("rcpt:450:ada@**1") as server, standing(delivery_url, server) as stand:
        send = await stand.to("ada")
        await stand.work()
        assert numbers((await stand.look(send)).counts) == {"deferred": 1}
        await stand.work(later=400)
        assert stand.mailed() == ["ada"]
        assert (await stand.look(send)).status == "completed"


async def test_a_broken_line_after_the_message_is_ambiguous_and_nothing_is_sent_twice(
    delivery_url: str,
) -> None:
    async with sink("accepted:drop:ada@*") as server, standing(delivery_url, server) as stand:
        send = await stand.to("ada", "bob")
        while (await stand.look(send)).counts.pending:
            await stand.work(later=1)
        await stand.work(later=3600)
        assert stand.mailed() == ["ada", "bob"]
        held = await stand.look(send)
        assert numbers(held.counts) == {"delivered": 1, "ambiguous": 1}
        assert held.status == "open"
        assert "/delivery/v1/reconciliations" in str(held.problem)


async def test_the_servers_log_settles_what_is_ambiguous(delivery_url: str) -> None:
    async with (
        sink("accepted:drop:ada@*", "end:drop:bob@**1") as server,
        standing(delivery_url, server) as stand,
    ):
        send = await stand.to("ada", "bob")
        while (await stand.look(send)).counts.pending:
            await stand.work(later=1)
        assert numbers((await stand.look(send)).counts) == {"ambiguous": 2}
        accepted = {UUID(mail.data.partition("Message-ID: <")[2][:36]) for mail in server.mails}
        async with stand.service() as service:
            settled = await service.reconcile(accepted, since=START, until=stand.clock.now())
        assert (settled.delivered, settled.pending, settled.ambiguous) == (1, 1, 0)
        while (await stand.look(send)).status != "completed":
            await stand.work(later=1)
        assert stand.mailed() == ["ada", "bob"]
        done = await stand.look(send)
        assert (done.status, done.counts.delivered) == ("completed", 2)


async def test_what_became_ambiguous_after_the_log_was_read_stays_so(delivery_url: str) -> None:
    async with sink("end:drop:*") as server, standing(delivery_url, server) as stand:
        before = stand.clock.now()
        send = await stand.to("ada")
        await stand.work(later=60)
        async with stand.service() as service:
            settled = await service.reconcile([], since=START, until=before)
        assert (settled.pending, settled.ambiguous) == (0, 1)
        assert numbers((await stand.look(send)).counts) == {"ambiguous": 1}


async def test_a_server_that_is_away_is_a_problem_that_heals_by_itself(stand: Stand) -> None:
    host, port = stand.sink.host, stand.sink.port
    await stand.sink.stop()
    send = await stand.to(*(f"p{number}" for number in range(300)))
    await stand.work()
    away = await stand.look(send)
    assert numbers(away.counts) == {"pending": 300}
    assert f"smtp://{host}:{port} does not take mails" in str(away.problem)
    async with stand.service() as service:
        found = await service.server(mail_server(f"smtp://{host}:{port}"))
    assert (found.reachable, found.since) == (False, stand.clock.now())
    assert "does not take mails" in str(found.problem)
    messages = await stand.messages(send)
    assert {message.attempts for message in messages.values()} == {0}
    await stand.sink.start(host, port)
    while (await stand.look(send)).status != "completed":
        await stand.work(later=1)
    assert len(set(stand.mailed())) == len(stand.mailed()) == 300
    async with stand.service() as service:
        found = await service.server(mail_server(f"smtp://{host}:{port}"))
    assert (found.reachable, found.problem) == (True, None)


async def test_what_a_dead_process_held_is_ambiguous(stand: Stand) -> None:
    send = await stand.to("ada")
    async with stand.service() as service:
        held = await service.hold(send.id)
        claim = await service.claim(held, 0, 10)
        await service.finish(held)
    assert len(claim.messages) == 1
    assert numbers((await stand.look(send)).counts) == {"pending": 1}
    await stand.work()
    assert stand.mailed() == []
    assert numbers((await stand.look(send)).counts) == {"ambiguous": 1}
