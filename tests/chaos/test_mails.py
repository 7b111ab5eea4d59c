"""E1, E2, E4, E5, E10, E17: each mail once, whatever happens to those who send it."""

import asyncio
import os
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from martech.kernel.bus import Delivery
from martech.modules.delivery.service import DeliveryService
from tests import databases
from tests.chaos.careless import (
    ChecksOffWhatItReads,
    CountsNoRefusals,
    CountsWhenQueued,
    LooksAtMessagesOnly,
    LooksOnce,
    SendsAgain,
)
from tests.chaos.history import GuaranteeBroken, insist
from tests.chaos.mailing import Mailing, mailing, modules
from tests.chaos.saying_no import WAYS, by_hand

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(3600)]


@pytest.fixture
def url(kind: str, tmp_path: Path) -> str:
    return databases.fresh(kind, modules(), tmp_path)


ROUNDS = 5
"""Of reconciling: a sender that is only slow leaves mails in doubt, too."""


def senders(kind: str, full: bool) -> int:
    """How many send at once: a SQLite file belongs to one process, so there one follows another."""
    return 1 if kind == "sqlite" else 8 if full else 2


async def killed(trial: Mailing, people: int, kills: int, at_once: int) -> None:
    """Send to *people*, be killed *kills* times, reconcile, and go on to the end."""
    await trial.begin(people)
    done = await trial.lose_senders(kills, at_once, most=people // kills)
    before = len(trial.logged())
    send = await trial.until_nothing_waits(await trial.child())
    listed = await trial.ambiguous()
    assert len(listed) == send.counts.ambiguous
    for _ in range(ROUNDS):
        if send.counts.ambiguous:
            await trial.reconcile()
            send = await trial.until_nothing_waits(await trial.child())
    tried = len({mail.to[0] for mail in trial.logged()})
    trial.judge(send)
    insist(
        faults=done, wanted=kills, tried=tried, planned=people, progress=min(before, len(listed))
    )


async def test_each_gets_one_mail_however_often_the_sender_is_killed(
    url: str, tmp_path: Path, kind: str, full: bool
) -> None:
    people, kills = (10_000, 200) if full else (400, 4)
    at_once = senders(kind, full)
    # the more they are, the slower each: else all is sent before so many were begun and killed
    async with mailing(url, tmp_path, delay=(5, 60), connections=max(1, 4 // at_once)) as trial:
        await killed(trial, people, kills, at_once)


@pytest.mark.planted
async def test_a_sender_that_checks_off_what_it_read_is_found_out(
    url: str, tmp_path: Path, kind: str, full: bool
) -> None:
    people, kills = (10_000, 20) if full else (400, 4)
    at_once = senders(kind, full)
    each, careless = max(1, 4 // at_once), ChecksOffWhatItReads
    async with mailing(url, tmp_path, delay=(5, 60), connections=each, service=careless) as trial:
        with pytest.raises(GuaranteeBroken, match=r"[1-9][0-9]* lost"):
            await killed(trial, people, kills, at_once)


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


async def stopped(trial: Mailing, people: int, times: int) -> None:
    """Tell the sender to end, *times* in the middle."""
    await trial.begin(people)
    stops = 0
    while stops < times and (await trial.look()).counts.pending:
        child = await trial.child()
        already = trial.sink.accepted
        while trial.sink.accepted < already + 5 and (await trial.look()).counts.pending:
            await trial.news()
        await trial.stop(child)
        stops += 1
    before = trial.sink.accepted
    send = await trial.until_nothing_waits(await trial.child())
    tried = trial.sink.accepted
    insist(
        faults=stops,
        wanted=times,
        tried=tried,
        planned=people,
        progress=min(before, tried - before),
    )
    if send.counts.ambiguous:
        raise GuaranteeBroken(f"{send.counts.ambiguous} ambiguous after a stop in good order")
    trial.judge(send)


async def test_a_sender_that_is_stopped_leaves_nothing_in_the_dark(
    url: str, tmp_path: Path, full: bool
) -> None:
    people, times = (16_000, 50) if full else (500, 2)
    async with mailing(url, tmp_path, delay=(5, 60)) as trial:
        await stopped(trial, people, times)


def at_once(working: "asyncio.Task[None]") -> None:
    """Ends when it is told to, whatever it has begun (E2)."""
    os._exit(0)


@pytest.mark.planted
async def test_a_sender_that_does_not_finish_what_it_began_is_found_out(
    url: str, tmp_path: Path
) -> None:
    async with mailing(url, tmp_path, delay=(5, 60)) as trial:
        trial.told = at_once
        with pytest.raises(GuaranteeBroken, match=r"[1-9][0-9]* ambiguous"):
            await stopped(trial, 500, 2)


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


async def turned_away(trial: Mailing, people: int, taken: int, rate: float | None) -> None:
    """The server relays for nobody, until somebody mends it; takes some; and once more."""
    await trial.begin(people, rate=rate)
    struck = [await refuses_everybody(trial)]
    child = await trial.child()
    await trial.taken(taken)
    await trial.pause()
    await trial.stop(child)  # what it takes and what it refuses is heard in this order
    before = trial.sink.accepted
    struck.append(await refuses_everybody(trial))
    trial.judge(await trial.until_nothing_waits(await trial.child()))
    if barred := await trial.barred():
        raise GuaranteeBroken(f"{len(barred)} barred")
    after = trial.sink.accepted - before
    insist(faults=min(struck), wanted=50, tried=before, planned=taken, progress=after)


async def refuses_everybody(trial: Mailing) -> int:
    """Until the send is paused; then it is mended, and the send resumed. How many were refused."""
    trial.sink.faults.plant("rcpt:550")
    await trial.resume()
    child = await trial.child()
    stopped = await trial.until_it_stops()
    await trial.stop(child)  # what is in hand is heard of before the server is mended
    struck = trial.sink.faults.struck
    if stopped.status == "paused" and "550" not in str(stopped.problem):
        raise GuaranteeBroken(f"nobody is told why it stopped: {stopped.problem}")
    trial.sink.faults.plant()
    await trial.resume()
    return struck


async def test_a_server_that_refuses_everybody_stops_the_send_and_nobody_is_lost(
    url: str, tmp_path: Path, full: bool
) -> None:
    async with mailing(url, tmp_path) as trial:
        await turned_away(trial, *((10_000, 1000, None) if full else (300, 30, 150.0)))


async def test_a_server_that_turns_in_the_middle_costs_nobody_a_mail(
    url: str, tmp_path: Path, full: bool
) -> None:
    """Mails are under way on other connections when it begins to refuse: its yes to these says
    nothing of those whom it refused meanwhile."""
    people, taken = (10_000, 1000) if full else (3000, 1000)
    async with mailing(url, tmp_path) as trial:
        await trial.begin(people)
        child = await trial.child()
        await trial.taken(taken)
        trial.sink.faults.plant("rcpt:550")
        await trial.until_it_stops()
        await trial.stop(child)
        insist(faults=trial.sink.faults.struck, wanted=50, tried=trial.sink.accepted, planned=taken)
        trial.sink.faults.plant()
        await trial.resume()
        send = await trial.until_nothing_waits(await trial.child())
        if barred := await trial.barred():
            raise GuaranteeBroken(f"{len(barred)} barred, {send.counts.bounced} bounced")
        trial.judge(send)


@pytest.mark.planted
async def test_a_sender_that_counts_no_refusals_is_found_out(url: str, tmp_path: Path) -> None:
    async with mailing(url, tmp_path, service=CountsNoRefusals) as trial:
        with pytest.raises(GuaranteeBroken, match=r"[1-9][0-9]* lost"):
            await turned_away(trial, 300, 30, 150.0)


BOUNCED = ("p*1@*", "p*5@*")  # spread: a long row of refusals would stop the send
DEFERRED = 20
FAULTS = (f"rcpt:550:{BOUNCED[0]}", f"rcpt:450:p2*@**{DEFERRED}", f"end:554:{BOUNCED[1]}")
BARRED = 7
"""People whom nobody may write to: the last ones."""


async def refused(trial: Mailing, people: int) -> None:
    """Some are refused for good, some later, some are barred, and every number is known before."""
    await trial.begin(people)
    barred = [f"p{number}@example.com" for number in range(people - BARRED, people)]
    for address in barred:
        await by_hand(trial, address)
    send = await trial.until_nothing_waits(await trial.child())
    rest = trial.people.keys() - set(barred)
    bounced = {each for each in rest if any(fnmatchcase(each, one) for one in BOUNCED)}
    trial.judge_numbers(
        send,
        {
            "delivered": len(rest) - len(bounced),
            "bounced": len(bounced),
            "suppressed": BARRED,
        },
    )
    if {mail.to[0] for mail in trial.logged()} != rest - bounced:
        raise GuaranteeBroken("others got it than those whom the server took")
    struck = [fault.struck for fault in trial.sink.faults.plan]
    insist(faults=min(struck), wanted=10, tried=sum(struck), planned=len(bounced) + DEFERRED)


async def test_the_numbers_are_the_servers(url: str, tmp_path: Path, full: bool) -> None:
    async with mailing(url, tmp_path, *FAULTS) as trial:
        await refused(trial, 5000 if full else 150)


@pytest.mark.planted
async def test_numbers_that_are_counted_too_early_are_found_out(url: str, tmp_path: Path) -> None:
    async with mailing(url, tmp_path, *FAULTS, service=CountsWhenQueued) as trial:
        with pytest.raises(GuaranteeBroken, match="delivered=150, not 114:"):
            await refused(trial, 150)


async def unsubscribing(trial: Mailing, people: int, leaving: int) -> None:
    """People say no while mails go out at 200 a second: by mail, by hand, by consent; or their
    server says it."""
    await trial.begin(people, rate=200.0)
    gone: dict[str, datetime] = {}
    child = await trial.child()
    addresses = trial.dice.sample(sorted(trial.people), leaving)
    at_once = 1 + 40 * leaving // people  # twenty mails at a time: all of them in the first half
    async with trial.hearing():
        for number, address in enumerate(addresses):
            if number % at_once == 0:
                await trial.news()
            await WAYS[number % len(WAYS)](trial, address)
            gone[address] = datetime.now(UTC)
        send = await trial.until_nothing_waits(child)
    mails = trial.logged()
    late = [
        mail
        for mail in mails
        if mail.to[0] in gone and (mail.time - gone[mail.to[0]]).total_seconds() > 1.0
    ]
    if late:
        raise GuaranteeBroken(f"{len(late)} mails more than a second after the no")
    suppressed = send.counts.suppressed
    insist(faults=suppressed, wanted=leaving // 4, tried=len(mails) + suppressed, planned=people)
    trial.judge_numbers(send)


async def test_nobody_gets_a_mail_a_second_after_they_said_no(
    url: str, tmp_path: Path, full: bool
) -> None:
    people, leaving = (10_000, 1000) if full else (800, 40)
    async with mailing(url, tmp_path) as trial:
        await unsubscribing(trial, people, leaving)


@pytest.mark.planted
async def test_a_sender_that_looks_only_when_people_are_added_is_found_out(
    url: str, tmp_path: Path, full: bool
) -> None:
    people, leaving = (10_000, 1000) if full else (800, 40)
    async with mailing(url, tmp_path, service=LooksOnce) as trial:
        with pytest.raises(GuaranteeBroken, match=r"[1-9][0-9]* mails more than a second"):
            await unsubscribing(trial, people, leaving)


class HearsLate(Delivery):
    """A bus that takes a minute's rest after whatever it hears (E5)."""

    def rest(self, handled: int) -> float:
        return 60.0


@pytest.mark.planted
async def test_a_bus_that_is_late_is_found_out(url: str, tmp_path: Path, full: bool) -> None:
    people, leaving = (10_000, 1000) if full else (800, 40)
    async with mailing(url, tmp_path) as trial:
        trial.delivery = HearsLate
        with pytest.raises(GuaranteeBroken, match=r"[1-9][0-9]* mails more than a second"):
            await unsubscribing(trial, people, leaving)
