"""What the pool says became of each mail, whatever the server does; the sink's log is the truth."""

import asyncio
import re
from collections import Counter
from pathlib import Path

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from martech.modules.delivery.adapters.console import Console
from martech.modules.delivery.adapters.session import Patience
from martech.modules.delivery.adapters.wire import Wire
from martech.modules.delivery.domain.outcomes import (
    Accepted,
    Ambiguous,
    NotTried,
    Outcome,
    Refused,
)
from tests.modules.delivery.authorities import Authority
from tests.modules.delivery.sending import EAGER, HASTY, Told, pool, posted, send
from tests.sinks.smtp import sink

pytestmark = pytest.mark.anyio


def patience(fault: str) -> Patience:
    return HASTY if "hang" in fault else EAGER


@pytest.fixture(params=[True, False], ids=["pipelining", "one by one"])
def pipelining(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def test_mails_arrive_as_they_are(pipelining: bool) -> None:
    mails = [posted(f"{number}@example.com") for number in range(25)]
    async with sink(pipelining=pipelining) as server, pool(server) as out:
        outcomes = await send(out, mails)
    assert all(outcome == Accepted("250 2.0.0 taken") for outcome in outcomes)
    assert {mail.to[0]: mail.bytes for mail in server.mails} == {m.to: m.data for m in mails}
    assert {mail.sender for mail in server.mails} == {"news@example.org"}


async def test_a_large_mail_of_dots_arrives_as_it_is(pipelining: bool) -> None:
    mail = posted(data=b"Subject: dots\r\n\r\n" + b".\r\n..\r\n" * 200_000)
    async with sink(pipelining=pipelining) as server, pool(server) as out:
        assert await send(out, [mail]) == [Accepted("250 2.0.0 taken")]
    assert server.mails[0].bytes == mail.data


async def test_with_pipelining_a_mail_costs_one_round_trip() -> None:
    async with sink() as server, pool(server, connections=1) as out:
        await send(out, [posted() for _ in range(5)])
        said = [command.split(" ")[0] for command in server.commands]
    assert said[:16] == ["EHLO", *["MAIL", "RCPT", "DATA"] * 5]


async def test_connections_stay_open_from_call_to_call_and_end_politely() -> None:
    async with sink() as server:
        async with pool(server) as out:
            for _ in range(3):
                await send(out, [posted()])
            assert server.connections == 1
        assert server.commands[-1] == "QUIT"


async def test_no_more_connections_than_allowed_whoever_asks() -> None:
    async with sink(delay=(1, 3)) as server, pool(server, connections=2) as out:
        batches = [[posted() for _ in range(50)] for _ in range(4)]
        outcomes = await asyncio.gather(*(send(out, batch) for batch in batches))
    assert Counter(type(o) for batch in outcomes for o in batch) == {Accepted: 200}
    assert server.connections == 2


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "end"])
@pytest.mark.parametrize("code", [451, 550])
async def test_a_refusal_says_where_and_whether_for_good(
    stage: str, code: int, pipelining: bool
) -> None:
    mails = [posted(f"{number}@example.com") for number in range(3)]
    fault = f"{stage}:{code}*1"
    async with sink(fault, pipelining=pipelining) as server, pool(server, connections=1) as out:
        first, *rest = await send(out, mails)
    assert first == Refused(
        code, f"{code // 100}.0.0 {'later' if code == 451 else 'no'}", _of(stage)
    )
    assert isinstance(first, Refused)
    assert first.permanent == (code == 550)
    assert first.dead == ("perhaps" if code == 550 and stage == "rcpt" else "no")
    assert [type(outcome) for outcome in rest] == [Accepted, Accepted]
    assert [mail.to[0] for mail in server.mails] == ["1@example.com", "2@example.com"]
    assert server.connections == 1


def _of(stage: str) -> str:
    return stage.upper()


async def test_only_those_are_refused_whom_the_server_refuses(pipelining: bool) -> None:
    mails = [posted(f"{'no-' * (n % 3 == 0)}{n}@example.com") for n in range(60)]
    async with sink("rcpt:550:no-*", pipelining=pipelining) as server, pool(server) as out:
        outcomes = await send(out, mails)
    for mail, outcome in zip(mails, outcomes, strict=True):
        assert isinstance(outcome, Refused if mail.to.startswith("no-") else Accepted)
    assert Counter(m.to[0] for m in server.mails) == Counter(
        mail.to for mail in mails if not mail.to.startswith("no-")
    )


@pytest.mark.parametrize("stage", ["greeting", "ehlo", "mail"])
@pytest.mark.parametrize("action", ["drop", "hang", "endless", "421"])
async def test_what_breaks_before_a_word_about_the_mail_leaves_it_untried(
    stage: str, action: str, pipelining: bool
) -> None:
    mails = [posted(), posted()]
    async with (
        sink(f"{stage}:{action}", pipelining=pipelining) as server,
        pool(server, patience=patience(action), connections=1) as out,
    ):
        outcomes = await send(out, mails)
        assert [type(outcome) for outcome in outcomes] == [NotTried, NotTried]
        assert out.status().reachable is False
        assert out.status().error
        assert server.faults.struck
    assert server.mails == []


@pytest.mark.parametrize("stage", ["rcpt", "data", "body"])
@pytest.mark.parametrize("action", ["drop", "hang", "endless", "421"])
async def test_a_mail_that_the_server_does_not_stand_is_for_later_and_holds_up_nobody(
    stage: str, action: str, pipelining: bool
) -> None:
    """If it were not tried, it would be the first to be tried again, for ever."""
    mails = [posted("poison@example.com"), posted("ada@example.com")]
    async with (
        sink(f"{stage}:{action}:poison@*", pipelining=pipelining) as server,
        pool(server, patience=patience(action), connections=1) as out,
    ):
        poison, ada = await send(out, mails)
    if stage == "body" and action != "421":
        assert isinstance(poison, Ambiguous), "it was small: its end was out"
    else:
        assert isinstance(poison, Refused)
        assert (poison.code, poison.permanent, poison.dead) == (421, False, "no")
    assert isinstance(ada, Accepted)
    assert [mail.to for mail in server.mails] == [["ada@example.com"]]


@pytest.mark.parametrize(
    ("fault", "accepted"),
    [("accepted:drop", 1), ("accepted:hang", 1), ("accepted:endless", 1), ("end:drop", 0)],
)
async def test_without_the_servers_word_nobody_knows(
    fault: str, accepted: int, pipelining: bool
) -> None:
    mails = [posted("1@example.com"), posted("2@example.com"), posted("3@example.com")]
    async with (
        sink(f"{fault}*1", pipelining=pipelining) as server,
        pool(server, patience=patience(fault), connections=1) as out,
    ):
        first, *rest = await send(out, mails)
        again = [m for m, o in zip(mails[1:], rest, strict=True) if isinstance(o, NotTried)]
        later = await send(out, again)
    assert isinstance(first, Ambiguous)
    assert all(isinstance(outcome, Accepted) for outcome in later)
    to = Counter(mail.to[0] for mail in server.mails)
    assert to == Counter({"1@example.com": accepted, "2@example.com": 1, "3@example.com": 1})


async def test_a_server_that_leaves_in_the_middle_of_a_large_mail_did_not_get_it(
    pipelining: bool,
) -> None:
    mail = posted(data=b"Subject: long\r\n\r\n" + b"x" * 70 + b"\r\n" * 8_000_000)
    async with (
        sink("body:drop", pipelining=pipelining) as server,
        pool(server, patience=EAGER) as out,
    ):
        (outcome,) = await send(out, [mail])
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.stage) == (421, "DATA")
    assert server.mails == []


async def test_nobody_gets_two_when_the_server_breaks_at_random(full: bool) -> None:
    """Those that were not tried are tried again, those that are ambiguous are not."""
    size = 2000 if full else 300
    mails = {mail.id: mail for mail in (posted(f"{n}@example.com") for n in range(size))}
    faults = [
        "accepted:drop@0.05",
        "end:drop@0.03",
        "mail:drop@0.02",
        "rcpt:451@0.05",
        "data:421@.02",
    ]
    unknown = 0
    async with sink(*faults) as server, pool(server, patience=EAGER) as out:
        while mails:
            told = Told()
            await out.send(list(mails.values()), told, within=30)
            for id_, outcome in told.of.items():
                if isinstance(outcome, Accepted | Ambiguous):
                    unknown += isinstance(outcome, Ambiguous)
                    del mails[id_]
    to = Counter(mail.to[0] for mail in server.mails)
    assert max(to.values()) == 1
    assert size - unknown <= len(to) < size
    assert server.faults.struck > size / 20
    assert unknown > size / 50


async def test_a_connection_that_was_closed_while_idle_costs_nothing(pipelining: bool) -> None:
    async with sink(pipelining=pipelining) as server, pool(server) as out:
        await send(out, [posted()])
        (talk,) = server.open
        talk.cancel()  # as a server does after some minutes
        assert [type(o) for o in await send(out, [posted()])] == [Accepted]
        assert server.connections == 2


async def test_a_server_that_is_away_shows_in_the_status_and_heals() -> None:
    async with sink() as server, pool(server, patience=EAGER) as out:
        assert out.status().reachable is None
        await send(out, [posted()])
        assert out.status().reachable is True
        await server.stop()
        outcomes = await send(out, [posted(), posted()])
        assert {type(outcome) for outcome in outcomes} == {NotTried}
        status = out.status()
        assert status.reachable is False
        assert status.error is not None
        assert "no connection to smtp://127.0.0.1" in status.error
        assert await send(out, [posted()]) == [NotTried(status.error)]
        await server.start(port=server.port)
        assert [type(o) for o in await send(out, [posted()])] == [Accepted]
        assert out.status().error is None


async def test_a_server_that_is_away_is_not_asked_again_at_once() -> None:
    slow = Patience(away=3600)
    async with sink("greeting:554") as server, pool(server, patience=slow, connections=1) as out:
        for _ in range(3):
            assert {type(outcome) for outcome in await send(out, [posted()])} == {NotTried}
        assert server.connections == 1
        assert out.status().error == "the server does not want us: 554 5.0.0 no"
        assert 0 < (out.status().retry_in or 0) <= 30


async def test_nothing_is_begun_when_the_time_is_over(pipelining: bool) -> None:
    async with (
        sink(pipelining=pipelining, delay=(20, 20)) as server,
        pool(server, connections=2) as out,
    ):
        mails = [posted() for _ in range(500)]
        outcomes = await send(out, mails, within=0.2)
        kinds = Counter(type(outcome) for outcome in outcomes)
        assert kinds[Accepted] == len(server.mails) > 0
        assert kinds[NotTried] == 500 - kinds[Accepted] > 0
        assert {type(o) for o in await send(out, [posted()], within=0)} == {NotTried}


async def test_no_mail_follows_late_because_the_server_was_slow_with_the_one_before(
    pipelining: bool,
) -> None:
    async with sink(pipelining=pipelining) as server, pool(server, connections=1) as out:
        await send(out, [posted(), posted()])
        server.manners.delay = (1000, 1000)
        outcomes = await send(out, [posted() for _ in range(3)], within=0.3)
        assert [type(outcome) for outcome in outcomes] == [Accepted, NotTried, NotTried]
        outcomes = await send(out, [posted() for _ in range(3)], within=0.3)
        assert [type(outcome) for outcome in outcomes] == [Accepted, NotTried, NotTried]
        assert out.status().reachable is True


async def test_whoever_breaks_off_hears_of_every_mail(pipelining: bool) -> None:
    mails = [posted() for _ in range(40)]
    told = Told()
    async with (
        sink("accepted:hang", pipelining=pipelining) as server,
        pool(server, connections=4) as out,
    ):
        sending = asyncio.create_task(out.send(mails, told, within=30))
        while server.accepted < 4:
            server.news.clear()
            await server.news.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
    assert Counter(told.kinds(mails)) == {"Ambiguous": 4, "NotTried": 36}


async def test_an_address_beyond_ascii_needs_a_server_that_takes_it() -> None:
    mail = posted("grüße@example.com")
    async with sink(smtputf8=False) as server, pool(server) as out:
        (outcome,) = await send(out, [mail])
        assert outcome == Refused(553, "The server takes no addresses beyond ASCII.", "MAIL")
        assert [type(o) for o in await send(out, [posted()])] == [Accepted]
    async with sink() as server, pool(server) as out:
        assert [type(o) for o in await send(out, [mail, posted()])] == [Accepted, Accepted]
        assert server.mails[0].to == ["grüße@example.com"]
        (asked, plain) = [c for c in server.commands if c.startswith("MAIL")]
        assert asked.endswith(" SMTPUTF8")
        assert not plain.endswith(" SMTPUTF8")


@pytest.mark.parametrize("to", ["a@b>\r\nRCPT TO:<eve@x", "a b@c", "a@b\0", "<a@b>", "", "a@b\n"])
async def test_no_address_can_be_a_command(to: str) -> None:
    async with sink() as server, pool(server) as out:
        outcomes = await send(out, [posted(to), posted()])
    assert outcomes[0] == Refused(553, "This is no address.", "RCPT")
    assert len(server.mails) == 1
    assert sum(command.startswith("RCPT") for command in server.commands) == 1


def test_it_is_the_same_on_the_loop_that_serves(tmp_path: Path) -> None:
    """uvloop's transports and timers are not asyncio's."""
    authority = Authority(tmp_path)
    large = b"Subject: large\r\n\r\n" + b".\r\n" * 300_000
    mails = [posted(f"{n}@example.com", large if n % 10 == 0 else None) for n in range(40)]

    async def story() -> list[Outcome]:
        async with sink("rcpt:550:7@*", "accepted:drop:8@*", tls=authority.server()) as server:
            query = f"?tls=starttls&ca={authority.trusted}"
            async with pool(server, query, patience=EAGER) as out:
                outcomes = await send(out, mails)
            assert {m.to[0]: m.bytes for m in server.mails} == {
                mail.to: mail.data for mail in mails if mail.to != "7@example.com"
            }
            return outcomes

    outcomes = uvloop.run(story())
    assert isinstance(outcomes[7], Refused)
    assert isinstance(outcomes[8], Ambiguous)
    assert sum(isinstance(outcome, Accepted) for outcome in outcomes) == 38


@given(st.lists(st.binary(max_size=50) | st.sampled_from([b"250", b"-ok\r\n", b" ok\n", b"\n"])))
def test_whatever_a_server_says_is_a_reply_or_the_end(chunks: list[bytes]) -> None:
    wire = Wire()
    for chunk in chunks:
        wire.data_received(chunk)
    lines = b"".join(chunks).split(b"\n")[:-1]
    smtp = [re.fullmatch(rb"\d{3}([ -].*)?", line.rstrip(b"\r"), re.DOTALL) for line in lines]
    assert (wire.lost is None) == all(smtp)


async def test_what_a_server_says_can_be_kept_and_shown() -> None:
    wire = Wire()
    wire.data_received(b"550 5.1.1 a\0b\x1b[31mc\xff\r\n")
    assert (await wire.reply(1)).shown == "550 5.1.1 a?b?[31mc\ufffd"


def test_a_server_that_never_ends_its_line_is_not_listened_to_for_ever() -> None:
    wire = Wire()
    for _ in range(10):
        wire.data_received(b"250 " + b"x" * 1000)
    assert wire.lost == "the server's line has no end"


async def test_the_console_accepts_and_shows(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    mail, told = posted(), Told()
    await Console().send([mail], told, within=1)
    assert told.kinds([mail]) == ["Accepted"]
    assert "ada@example.com" in caplog.text
