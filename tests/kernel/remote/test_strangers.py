"""What comes instead of an answer: nobody, a proxy, half a sentence, a host that is not ours.

The module must not seem to have said what it has not: a 404 of a proxy is not its `NotFound`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import pytest

from martech.kernel.asking import due_within
from martech.kernel.errors import Error, Timeout, Unavailable
from martech.kernel.host import Host
from martech.kernel.resilience import Breaker, State
from martech.kernel.settings import Settings
from tests.kernel.remote.oracle.contract import Oracle
from tests.kernel.remote.serving import SECRET, stranger
from tests.kernel.remote.test_breaker import Hand
from tests.servers import free_port

pytestmark = pytest.mark.anyio

TENANT = uuid4()


class Stranger:
    """Says one thing to everybody, or nothing, and counts how often it was asked."""

    def __init__(self, said: bytes | None) -> None:
        self.said = said
        self.asked = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):  # who has gone before they had asked
            await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            if self.said is None:
                await reader.read()  # until whoever asks has gone
            else:
                writer.write(self.said)
                await writer.drain()
        writer.close()


def http(status: str, body: str, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n"
    return f"{head}connection: close\r\n\r\n{body}".encode()


@asynccontextmanager
async def facing(said: Stranger) -> AsyncIterator[Host]:
    async with (
        stranger(said.talk) as url,
        Host([], Settings(peers={"oracle": url}, peer_secret=SECRET)) as host,
    ):
        yield host


def problem(status: int, slug: str, module: str) -> str:
    return (
        f'{{"type":"/problems/{slug}","title":"t","status":{status},"detail":"d",'
        f'"module":"{module}"}}'
    )


STRANGE = [
    ("a proxy that finds nothing", http("404 Not Found", "<h1>nginx</h1>"), "answered 404"),
    ("a proxy without its upstream", http("502 Bad Gateway", "<h1>nginx</h1>"), "answered 502"),
    ("a page of somebody", http("200 OK", "<h1>Welcome</h1>"), "cannot be read"),
    ("something else in JSON", http("200 OK", '{"tenant": 7}'), "cannot be read"),
    ("what is not UTF-8", http("200 OK", "?").replace(b"?", b"\xff"), "cannot be read"),
    ("a redirection", http("302 Found", ""), "answered 302"),
    (
        "a problem of another module",
        http("404 Not Found", problem(404, "not-found", "profiles")),
        "answered 404 to who: d",
    ),
    ("half an answer", http("200 OK", "1234567")[:-3], "cannot be reached"),
    ("nothing, and the line is cut", b"", "cannot be reached"),
    ("no HTTP", b"220 smtp.example.com ESMTP\r\n", "cannot be reached"),
]


@pytest.mark.parametrize(
    ("said", "complaint"), [row[1:] for row in STRANGE], ids=[row[0] for row in STRANGE]
)
async def test_what_the_module_did_not_say_is_no_answer_of_it(said: bytes, complaint: str) -> None:
    async with facing(Stranger(said)) as host:
        with pytest.raises(Unavailable, match=complaint) as raised:
            await host.port(Oracle, TENANT).who()
    assert type(raised.value) is Unavailable
    assert "oracle" in raised.value.detail


async def test_nobody_at_all_is_unavailable() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with Host([], Settings(peers={"oracle": url}, peer_secret=SECRET)) as host:
        with pytest.raises(Unavailable, match=f"oracle cannot be reached at {url}"):
            await host.port(Oracle, TENANT).who()


async def test_silence_ends_with_the_time_of_whoever_asks() -> None:
    silent = Stranger(None)
    async with facing(silent) as host:
        with due_within(0.05), pytest.raises(Timeout, match="oracle did not answer within"):
            await host.port(Oracle, TENANT).who()
    assert silent.asked <= 1, "nobody is asked twice"


async def ask(host: Host, method: str, *args: Any, times: int) -> list[Unavailable]:
    refused = []
    for _ in range(times):
        with pytest.raises(Unavailable) as raised:
            await getattr(host.port(Oracle, TENANT), method)(*args)
        refused.append(raised.value)
    return refused


async def test_a_lost_answer_of_what_reads_is_asked_for_again_within_a_budget() -> None:
    cut = Stranger(b"")
    async with facing(cut) as host:
        await ask(host, "who", times=4)
    assert cut.asked == 4 + 1


async def test_what_writes_is_never_repeated() -> None:
    cut = Stranger(b"")
    async with facing(cut) as host:
        await ask(host, "say", "delphi", times=3)
    assert cut.asked == 3


async def test_whoever_keeps_failing_is_not_asked_for_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cut = Stranger(b"")
    async with facing(cut) as host:
        await ask(host, "say", "delphi", times=10)
        for refused in await ask(host, "say", "delphi", times=5):
            assert "oracle has failed too often of late" in refused.detail
            assert refused.retry_after == 5
    assert cut.asked == 10
    assert [said for said in caplog.messages if "fails, and is asked nothing" in said] == [
        f"oracle at {host.peers['oracle'].url} fails, and is asked nothing for a moment"
    ]


async def test_that_it_is_away_is_logged_once_and_once_that_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="martech.kernel.remote")
    moody = Stranger(b"")
    async with facing(moody) as host:
        await ask(host, "say", "delphi", times=3)
        moody.said = http("200 OK", "1")
        for _ in range(2):
            await host.port(Oracle, TENANT).say("delphi")
        url = host.peers["oracle"].url
    assert [said for said in caplog.messages if said.startswith("oracle")] == [
        f"oracle is away: oracle cannot be reached at {url}.",
        f"oracle at {url} answers again",
    ]


async def test_it_is_asked_again_after_a_rest_and_then_as_ever() -> None:
    hand = Hand()
    moody = Stranger(b"")
    async with facing(moody) as host:
        breaker = host.peers["oracle"].breaker = Breaker(clock=hand)
        await ask(host, "say", "delphi", times=10)
        hand.now += 5
        moody.said = http("200 OK", "1")
        for _ in range(3):
            assert await host.port(Oracle, TENANT).say("delphi") == 1
        assert breaker.state == "closed"


async def test_a_probe_that_is_broken_off_here_frees_its_place() -> None:
    hand, silent = Hand(), Stranger(b"")
    async with facing(silent) as host:
        breaker = host.peers["oracle"].breaker = Breaker(clock=hand, probes=1)
        await ask(host, "say", "delphi", times=10)
        hand.now += 5
        silent.said = None
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await host.port(Oracle, TENANT).say("delphi")
        assert breaker.state == "half-open"
        silent.said = http("200 OK", "1")
        assert await host.port(Oracle, TENANT).say("delphi") == 1
        assert breaker.state == "closed"


VERDICTS: list[tuple[str, bytes, State]] = [
    ("a bug of the module", http("500 Error", problem(500, "error", "oracle")), "open"),
    ("its database is away", http("503 Away", problem(503, "unavailable", "oracle")), "open"),
    ("too busy to let us in", http("503 Busy", '{"type":"/problems/unavailable"}'), "open"),
    ("a proxy without its upstream", http("502 Bad Gateway", "<h1>nginx</h1>"), "open"),
    ("a page of somebody", http("200 OK", "<h1>Welcome</h1>"), "open"),
    ("it refuses", http("409 Conflict", problem(409, "conflict", "oracle")), "closed"),
    ("it does not find", http("404 Not Found", problem(404, "not-found", "oracle")), "closed"),
    (
        "it says when to ask again",
        http("503 Later", problem(503, "unavailable", "oracle")[:-1] + ',"retry_after":1}'),
        "closed",
    ),
    ("it does not know us", http("401 Unauthorized", "{}"), "closed"),
    ("it is another host", http("404 Not Found", "{}"), "closed"),
]


@pytest.mark.parametrize(
    ("said", "state"), [row[1:] for row in VERDICTS], ids=[row[0] for row in VERDICTS]
)
async def test_only_a_failure_of_the_peer_counts_against_it(said: bytes, state: State) -> None:
    async with facing(Stranger(said)) as host:
        for _ in range(10):
            with pytest.raises(Error):
                await host.port(Oracle, TENANT).say("delphi")
        assert host.peers["oracle"].breaker.state == state


async def test_whoever_was_in_a_hurry_cannot_tell() -> None:
    async with facing(Stranger(None)) as host:
        for _ in range(12):
            with due_within(0.01), pytest.raises(Timeout):
                await host.port(Oracle, TENANT).who()
        assert host.peers["oracle"].breaker.state == "closed"


async def test_a_host_that_is_asked_wrongly_is_left_alone_for_longer() -> None:
    async with facing(Stranger(http("401 Unauthorized", "{}"))) as host:
        (refused,) = await ask(host, "who", times=1)
    assert refused.retry_after == 30
