"""E1, E2, E4, E5, E10, E17: each mail once, whatever happens to those who send it."""

import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from martech.kernel.bus import Delivery
from martech.modules.delivery.service import DeliveryService
from tests import databases
from tests.chaos.careless import (
    ChecksOffWhatItReads,
    CountsAtOnce,
    CountsNoRefusals,
    LooksAtMessagesOnly,
    LooksOnce,
    SendsAgain,
)
from tests.chaos.history import GuaranteeBroken, insist
from tests.chaos.mailing import Mailing, mailing, modules

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(3600)]


@pytest.fixture
def url(kind: str, tmp_path: Path) -> str:
    return databases.fresh(kind, modules(), tmp_path)


async def killed(trial: Mailing, people: int, kills: int) -> None:
    """Send to *people*, be killed *kills* times, reconcile, and go on to the end."""
    await trial.begin(people)
    done, most = 0, people // kills
    while done < kills and (await trial.look()).counts.pending:
        await (trial.die_at_a_place if done % 2 else trial.die_at_a_moment)(most)
        done += 1
    before = len(trial.logged())
    send = await trial.until_nothing_waits(await trial.child())
    listed = await trial.ambiguous()
    assert len(listed) == send.counts.ambiguous
    await trial.reconcile()
    send = await trial.until_nothing_waits(await trial.child())
    insist(faults=done, wanted=kills, tried=people, planned=people, progress=before)
    trial.judge(send)


async def test_each_gets_one_mail_however_often_the_sender_is_killed(
    url: str, tmp_path: Path, full: bool
) -> None:
    people, kills = (10_000, 200) if full else (400, 4)
    async with mailing(url, tmp_path, delay=(5, 60)) as trial:
        await killed(trial, people, kills)


@pytest.mark.planted
async def test_a_sender_that_checks_off_what_it_read_is_found_out(
    url: str, tmp_path: Path, full: bool
) -> None:
    people, kills = (10_000, 20) if full else (500, 2)
    async with mailing(url, tmp_path, delay=(5, 60), service=ChecksOffWhatItReads) as trial:
        with pytest.raises(GuaranteeBroken, match=r"[1-9][0-9]* lost"):
            await killed(trial, people, kills)


async def broken_off(trial: Mailing, people: int) -> None:
    """The server takes every twentieth mail and hangs up before it says so."""
    await trial.begin(people)
    send = await trial.until_nothing_waits(await trial.child())
    assert send.counts.ambiguous > 0 or trial.service is not DeliveryService
    await trial.reconcile()
    trial.judge(await trial.look())


async def test_what_broke_after_the_message_is_not_sent_again(
    url: str, tmp_path: Path, full: bool
) -> None:
    async with mailing(url, tmp_path, "accepted:drop@0.05") as trial:
        await broken_off(trial, 5000 if full else 200)


@pytest.mark.planted
async def test_a_sender_that_takes_it_for_a_failure_is_found_out(
    url: str, tmp_path: Path, full: bool
) -> None:
    async with mailing(url, tmp_path, "accepted:drop@0.05", service=SendsAgain) as trial:
        with pytest.raises(GuaranteeBroken, match=r"[1-9][0-9]* extra"):
            await broken_off(trial, 5000 if full else 200)


async def stopped(trial: Mailing, people: int, times: int, number: signal.Signals) -> None:
    """Stop the sender *times* in the middle."""
    await trial.begin(people)
    stops = 0
    while stops < times and (await trial.look()).counts.pending:
        child = await trial.child()
        already = trial.sink.accepted
        while trial.sink.accepted < already + 5 and (await trial.look()).counts.pending:
            await trial.news()
        os.kill(child.pid, number)
        assert await child.ended() is not None
        stops += 1
    send = await trial.until_nothing_waits(await trial.child())
    insist(faults=stops, wanted=times, tried=people, planned=people)
    if send.counts.ambiguous:
        raise GuaranteeBroken(f"{send.counts.ambiguous} ambiguous after a stop in good order")
    trial.judge(send)


async def test_a_sender_that_is_stopped_leaves_nothing_in_the_dark(
    url: str, tmp_path: Path, full: bool
) -> None:
    people, times = (16_000, 50) if full else (500, 2)
    async with mailing(url, tmp_path, delay=(5, 60)) as trial:
        await stopped(trial, people, times, signal.SIGTERM)


@pytest.mark.planted
async def test_a_sender_that_does_not_finish_what_it_began_is_found_out(
    url: str, tmp_path: Path
) -> None:
    async with mailing(url, tmp_path, delay=(5, 60)) as trial:
        with pytest.raises(GuaranteeBroken, match=r"[1-9][0-9]* ambiguous"):
            await stopped(trial, 500, 2, signal.SIGKILL)


async def called_off(trial: Mailing, people: int, kills: int) -> None:
    """Cancel in the middle, and kill those who write that down."""
    await trial.begin(people)
    child = await trial.child()
    while trial.sink.accepted < 20:
        await trial.news()
    answered = await trial.cancel()
    if kills:
        await child.kill()
    done = 0
    while done < kills and (await trial.look()).counts.pending:
        await trial.die_at_a_place(latest=5)  # what is left is called off in few steps
        done += 1
    send = await trial.until_nothing_waits(await trial.child() if kills else child)
    if late := await trial.claimed_after(answered):
        raise GuaranteeBroken(f"{late} messages were claimed after the send was cancelled")
    counts, logged = send.counts, len(trial.logged())
    settled = counts.delivered + counts.ambiguous + counts.cancelled
    if settled != people or not counts.delivered <= logged <= counts.delivered + counts.ambiguous:
        raise GuaranteeBroken(f"the log has {logged}, the send says {counts}")
    insist(faults=done, wanted=kills, tried=counts.cancelled, planned=people // 2)


async def test_nothing_is_claimed_of_a_send_that_was_cancelled_whoever_is_killed(
    url: str, tmp_path: Path, full: bool
) -> None:
    people, kills = (50_000, 20) if full else (3000, 1)
    async with mailing(url, tmp_path, delay=(5, 60)) as trial:
        await called_off(trial, people, kills)


@pytest.mark.planted
async def test_a_sender_that_looks_at_messages_only_is_found_out(url: str, tmp_path: Path) -> None:
    async with mailing(url, tmp_path, delay=(5, 60), service=LooksAtMessagesOnly) as trial:
        with pytest.raises(GuaranteeBroken, match=r"[1-9][0-9]* messages were claimed after"):
            await called_off(trial, 8000, 0)


async def turned_away(trial: Mailing, people: int) -> None:
    """The server relays for nobody, until somebody mends it."""
    await trial.begin(people)
    child = await trial.child()
    stopped = await trial.until_it_stops()
    os.kill(child.pid, signal.SIGTERM)  # what is in hand is heard of before the server is mended
    assert await child.ended() is not None
    insist(faults=trial.sink.faults.struck, wanted=50, tried=people, planned=people)
    if stopped.status == "paused" and "550" not in str(stopped.problem):
        raise GuaranteeBroken(f"nobody is told why it stopped: {stopped.problem}")
    trial.sink.faults.plant()
    await trial.resume()
    trial.judge(await trial.until_nothing_waits(await trial.child()))


async def test_a_server_that_refuses_everybody_stops_the_send_and_nobody_is_lost(
    url: str, tmp_path: Path, full: bool
) -> None:
    async with mailing(url, tmp_path, "rcpt:550") as trial:
        await turned_away(trial, 10_000 if full else 300)


@pytest.mark.planted
async def test_a_sender_that_counts_no_refusals_is_found_out(url: str, tmp_path: Path) -> None:
    async with mailing(url, tmp_path, "rcpt:550", service=CountsNoRefusals) as trial:
        with pytest.raises(GuaranteeBroken, match=r"[1-9][0-9]* lost"):
            await turned_away(trial, 300)


async def refused(trial: Mailing, people: int) -> None:
    """Some are refused for good, some later, and the numbers must be the server's."""
    await trial.begin(people)
    await trial.until_nothing_waits(await trial.child())
    trial.judge_numbers(await trial.look())


FAULTS = ("rcpt:550:p1*@*", "rcpt:450:p2*@**20", "end:554:p3?@*")


async def test_the_numbers_are_the_servers(url: str, tmp_path: Path, full: bool) -> None:
    async with mailing(url, tmp_path, *FAULTS) as trial:
        await refused(trial, 5000 if full else 150)


@pytest.mark.planted
async def test_numbers_that_are_counted_too_early_are_found_out(url: str, tmp_path: Path) -> None:
    async with mailing(url, tmp_path, *FAULTS, service=CountsAtOnce) as trial:
        with pytest.raises(GuaranteeBroken, match=r"the log has"):
            await refused(trial, 150)


async def unsubscribing(trial: Mailing, people: int, leaving: int) -> None:
    """People say no while mails go out at 200 a second: by mail, by hand, by consent."""
    await trial.begin(people, rate=200.0)
    gone: dict[str, datetime] = {}
    child = await trial.child()
    addresses = trial.dice.sample(sorted(trial.people), leaving)
    at_once = 1 + 40 * leaving // people  # twenty mails at a time: all of them in the first half
    async with trial.hearing():
        for number, address in enumerate(addresses):
            if number % at_once == 0:
                await trial.news()
            await trial.forbid(address, number)
            gone[address] = datetime.now(UTC)
        send = await trial.until_nothing_waits(child)
    late = [
        mail
        for mail in trial.logged()
        if mail.to[0] in gone and (mail.time - gone[mail.to[0]]).total_seconds() > 1.0
    ]
    if late:
        raise GuaranteeBroken(f"{len(late)} mails more than a second after the no")
    insist(faults=send.counts.suppressed, wanted=leaving // 4, tried=people, planned=people)
    trial.judge_numbers(send)


async def test_nobody_gets_a_mail_a_second_after_they_said_no(
    url: str, tmp_path: Path, full: bool
) -> None:
    people, leaving = (10_000, 1000) if full else (800, 30)
    async with mailing(url, tmp_path) as trial:
        await unsubscribing(trial, people, leaving)


@pytest.mark.planted
async def test_a_sender_that_looks_only_when_people_are_added_is_found_out(
    url: str, tmp_path: Path, full: bool
) -> None:
    people, leaving = (10_000, 1000) if full else (800, 30)
    async with mailing(url, tmp_path, service=LooksOnce) as trial:
        with pytest.raises(GuaranteeBroken, match=r"[1-9][0-9]* mails more than a second"):
            await unsubscribing(trial, people, leaving)


class HearsLate(Delivery):
    """A bus that takes a minute's rest after whatever it hears (E5)."""

    def rest(self, handled: int) -> float:
        return 60.0


@pytest.mark.planted
async def test_a_bus_that_is_late_is_found_out(url: str, tmp_path: Path, full: bool) -> None:
    people, leaving = (10_000, 1000) if full else (800, 30)
    async with mailing(url, tmp_path) as trial:
        trial.delivery = HearsLate
        with pytest.raises(GuaranteeBroken, match=r"[1-9][0-9]* mails more than a second"):
            await unsubscribing(trial, people, leaving)
