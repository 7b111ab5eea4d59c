"""A server that dies of one mail, each time it sees it, and says nothing."""

from collections import Counter

import pytest

from martech.modules.delivery.adapters.suspects import TRIES
from martech.modules.delivery.domain.outcomes import Accepted, Ambiguous, NotTried, Refused
from tests.modules.delivery.sending import EAGER, pool, posted, send
from tests.modules.delivery.stand import standing
from tests.sinks.smtp import sink

pytestmark = pytest.mark.anyio

DIES = "rcpt:drop:poison@*"


async def test_a_mail_that_a_server_dies_of_is_an_attempt_after_some_tries() -> None:
    poison = posted("poison@example.com")
    async with sink(DIES, gathers=True) as server, pool(server, patience=EAGER) as out:
        for _ in range(TRIES - 1):
            (outcome,) = await send(out, [poison])
            assert isinstance(outcome, NotTried)
        for _ in range(2):  # and from then on each time
            (outcome,) = await send(out, [poison])
            assert isinstance(outcome, Refused)
            assert (outcome.code, outcome.permanent, outcome.stage) == (421, False, "MAIL")


async def test_a_mail_that_a_server_dies_of_goes_last_and_takes_nobody_with_it_twice() -> None:
    poison = posted("poison@example.com")
    async with (
        sink(DIES, gathers=True) as server,
        pool(server, patience=EAGER, connections=1) as out,
    ):
        first = await send(out, [posted(), posted(), poison, posted()])
        assert [type(o) for o in first] == [Accepted, Ambiguous, NotTried, Accepted]
        again = await send(out, [poison, *(posted() for _ in range(5))])
        assert [type(o) for o in again] == [NotTried, *[Accepted] * 5]


async def test_a_mail_is_no_suspect_once_the_server_spoke_of_it() -> None:
    mail = posted("poison@example.com")
    async with (
        sink(f"{DIES}*{TRIES - 1}", gathers=True) as server,
        pool(server, patience=EAGER) as out,
    ):
        for _ in range(TRIES - 1):
            await send(out, [mail])
        assert [type(o) for o in await send(out, [mail])] == [Accepted]
        server.faults.plant(f"{DIES}*2")  # the open connection, and a new one
        assert [type(o) for o in await send(out, [mail])] == [NotTried]


async def test_a_send_goes_on_past_a_mail_that_the_server_dies_of(delivery_url: str) -> None:
    names = [f"p{number}" for number in range(8)]
    async with (
        sink(DIES, gathers=True) as server,
        standing(delivery_url, server, connections=1) as stand,
    ):
        send = await stand.to("poison", *names)
        while (await stand.look(send)).counts.pending:
            await stand.work(later=1)
        counts = (await stand.look(send)).counts
        assert (counts.deferred, counts.delivered + counts.ambiguous) == (1, 8)
        assert counts.ambiguous <= 1
        assert Counter(stand.mailed()) == Counter(names)
        poison = (await stand.messages(send))["poison"]
        assert (poison.status, poison.attempts, poison.code) == ("deferred", 1, 421)
        for _ in range(12):
            await stand.work(later=7 * 3600)
        counts = (await stand.look(send)).counts
        assert (counts.failed, counts.deferred, counts.pending) == (1, 0, 0)
