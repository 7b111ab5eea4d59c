"""The outbox of a peer: who may ask, how long a question stays open, what strangers say."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from martech.kernel.errors import Unavailable
from martech.kernel.feeds import http
from martech.kernel.feeds.http import HttpFeed, packed, unpacked
from martech.kernel.http import peers
from martech.kernel.messages import wire_name
from martech.kernel.remote import Peer
from martech.kernel.settings import Settings
from tests.kernel.feeds.children import SECRET
from tests.kernel.feeds.telling import sell
from tests.sample.shop.contract import Sold
from tests.sample.shop.module import module as shop
from tests.serving import Served, serve

pytestmark = pytest.mark.anyio

SALES = wire_name(Sold)
KNOWN = {"authorization": f"Bearer {SECRET}"}


@pytest.fixture
async def served(sample_url: str) -> AsyncIterator[Served]:
    """Lets in one at a time."""
    settings = Settings(database_url=sample_url, peer_secret=SECRET, max_requests=1)
    async with serve([shop], settings) as serving:
        yield serving


REFUSED: list[tuple[str, dict[str, str], int, str, str | None]] = [
    (f"shop?types={SALES}", {}, 401, "MARTECH_PEER_SECRET", None),
    (f"shop?types={SALES}", {"authorization": "Bearer not the secret"}, 401, "secret", None),
    (f"shop?types={SALES}", {"authorization": "Digest x"}, 401, "Send Bearer", None),
    (f"bakery?types={SALES}", KNOWN, 404, "shop are. Check MARTECH_PEERS", None),
    ("bakery/news", KNOWN, 404, "Check MARTECH_PEERS", None),
    ("shop", KNOWN, 422, "types is missing", "types"),
    ("shop/head", KNOWN, 422, "types is missing", "types"),
    (f"shop?types={SALES}&after=-1", KNOWN, 422, "0", "after"),
    (f"shop?types={SALES}&items=0", KNOWN, 422, "1", "items"),
    (f"shop?types={SALES}&items=many", KNOWN, 422, "a whole number", "items"),
    ("shop/news?wait=-1", KNOWN, 422, "0", "wait"),
]


@pytest.mark.one_database  # no question comes so far as to it
@pytest.mark.parametrize(
    ("question", "headers", "status", "said", "field"),
    REFUSED,
    ids=[f"{r[0]}-{i}" for i, r in enumerate(REFUSED)],
)
async def test_a_wrong_question_is_refused_as_everywhere(
    served: Served,
    question: str,
    headers: dict[str, str],
    status: int,
    said: str,
    field: str | None,
) -> None:
    answer = await served.client.get(f"/_outbox/{question}", headers=headers)
    problem = answer.json()
    assert (answer.status_code, problem.get("field")) == (status, field), problem
    assert said in problem["detail"]
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_tenants_key_opens_no_outbox(served: Served) -> None:
    answer = await served.client.get(f"/_outbox/shop?types={SALES}", headers=served.headers())
    assert answer.status_code == 401


async def test_a_host_without_a_secret_has_no_peers(sample_url: str) -> None:
    async with serve([shop], Settings(database_url=sample_url)) as served:
        answer = await served.client.get(
            f"/_outbox/shop?types={SALES}", headers={"authorization": "Bearer "}
        )
    assert answer.status_code == 403
    assert "MARTECH_PEER_SECRET" in answer.json()["detail"]


@pytest.fixture
def called_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for news looks only when it is called."""
    monkeypatch.setattr(peers, "LOOK", http.WAIT)


@asynccontextmanager
async def waiting_for_news(served: Served) -> AsyncIterator[asyncio.Task[Any]]:
    """A question for news that is open."""
    asked, question = served.host.process.asked, "/_outbox/shop/news?wait=20"
    task = asyncio.create_task(served.client.get(question, headers=KNOWN))
    while served.host.process.asked == asked:  # noqa: ASYNC110 - one turn of the loop
        await asyncio.sleep(0)
    async with asyncio.timeout(10):  # less than it would wait in vain
        yield task


@pytest.mark.usefixtures("called_for")
async def test_who_waits_for_news_hears_of_a_commit(served: Served) -> None:
    async with waiting_for_news(served) as news:
        await sell(served.host, 0, 1)
        assert (await news).json() == {"position": 1}


@pytest.mark.usefixtures("called_for")
async def test_who_waits_for_news_is_answered_when_the_process_ends(served: Served) -> None:
    async with waiting_for_news(served) as news:
        served.host.process.end()
        assert (await news).json() == {"position": 0}


async def test_who_waits_for_news_takes_nobodys_place_and_is_not_timed(served: Served) -> None:
    async with waiting_for_news(served) as news:
        assert (await served.client.get("/openapi.json")).status_code == 200
        await sell(served.host, 0, 1)
        await news
    numbers = (await served.client.get("/metrics")).text
    assert 'route="/openapi.json"' in numbers
    assert "/news" not in numbers


async def test_a_listener_is_answered_however_full_it_is(served: Served) -> None:
    stock = "/shop/v1/stock/0/changes"
    full = asyncio.create_task(served.client.get(stock, headers=served.headers()))
    while served.app.inside == 0:  # noqa: ASYNC110 - one turn of the loop
        await asyncio.sleep(0)
    try:
        assert (await served.client.get("/openapi.json")).status_code == 503
        page = await served.client.get(f"/_outbox/shop?types={SALES}", headers=KNOWN)
        assert page.status_code == 200
    finally:
        served.host.process.end()
        await full


def page(**more: object) -> bytes:
    """One event as a peer sends it, with *more* that we do not know."""
    event = {
        "position": 3,
        "id": "01890a5d-ac96-774b-bcce-b302099a8057",
        "source": "/martech/shop",
        "type": SALES,
        "tenant": "01890a5d-ac96-774b-bcce-b302099a8058",
        "subject": "",
        "time": "2026-03-01T12:00:00Z",
        "data": b"\xff",
    }
    return msgspec.msgpack.encode([{**event, **more}])


def test_what_a_later_peer_adds_is_not_read() -> None:
    (event,) = unpacked(page(colour="red", items=7))
    assert (event.position, event.items, bytes(event.data)) == (3, 7, b"\xff")
    assert unpacked(packed([event])) == [event]


FOREIGN = '{"detail": "Gateway défaillant"}'.encode("latin-1")
Answering = Callable[[], bytes]


@asynccontextmanager
async def stranger(answer: Answering) -> AsyncIterator[HttpFeed]:
    """The feed of a peer that is something else: it gives *answer* to everything."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer())
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    peer = Peer("shop", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", SECRET)
    try:
        yield HttpFeed("shop", peer)
    finally:
        await peer.close()
        server.close()


def saying(status: str, body: bytes = b"<html>") -> bytes:
    return b"HTTP/1.1 %s\r\nconnection: close\r\n\r\n%s" % (status.encode(), body)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (saying("200 OK"), "MARTECH_PEERS"),
        (saying("200 OK", b"{}"), "MARTECH_PEERS"),
        (saying("302 Found\r\nlocation: /"), "answered 302"),
        (saying("404 Not Found"), "no martech. Check MARTECH_PEERS"),
        (saying("503 Busy", b'{"detail": "Come back."}'), "answered 503 .*: Come back."),
        (saying("502 Bad", FOREIGN), "answered 502 .*no martech. Check MARTECH_PEERS"),
        (saying("200 OK", page(subject="XX").replace(b"XX", b"\xe9\xe9")), "MARTECH_PEERS"),
        (b"SSH-2.0-x\r\n", "cannot be reached"),
        (b"", "cannot be reached"),
    ],
)
async def test_whatever_a_stranger_answers_what_is_told_waits(answer: bytes, said: str) -> None:
    async with stranger(lambda: answer) as feed:
        with pytest.raises(Unavailable, match=said):
            await feed.read(after=0, types=[SALES])
        with pytest.raises(Unavailable, match=said):
            await feed.head([SALES])
        with pytest.raises(Unavailable, match=said):
            await feed.waiting(after=0, types=[SALES])


async def test_who_watches_goes_on_when_the_peer_is_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(http, "AGAIN", 0.0)
    answers = iter([saying("200 OK"), saying("502 Bad Gateway"), saying("502 Bad", FOREIGN), b""])
    woken = asyncio.Event()
    with caplog.at_level(logging.WARNING):
        async with stranger(lambda: next(answers, saying("200 OK", b'{"position":7}'))) as feed:
            watching = asyncio.create_task(feed.watch(woken.set))
            async with asyncio.timeout(10):
                await woken.wait()
            watching.cancel()
            await asyncio.wait([watching])
    assert watching.cancelled()
    ours = [each for each in caplog.records if each.name.startswith("martech")]
    assert not ours, "whoever reads says so"
