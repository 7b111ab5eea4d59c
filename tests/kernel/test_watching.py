"""Server-sent events: a view at once, and again whenever it is another."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from litestar.response import Stream

from martech.kernel.errors import NotFound, TooMany
from martech.kernel.http import watching
from martech.kernel.http.watching import MOST, Looks, Watch
from martech.kernel.settings import Settings
from tests import databases
from tests.sample.shop.contract import Stock
from tests.sample.shop.service import ShopService
from tests.serving import Served, serve

pytestmark = pytest.mark.anyio


@pytest.fixture
async def served(sample_url: str) -> AsyncIterator[Served]:
    async with serve(databases.SAMPLE, Settings(database_url=sample_url)) as served:
        yield served


class Listener:
    """A client that reads a stream as it comes."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._gone = asyncio.Event()
        self._asked = False

    async def receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {k.decode(): v.decode() for k, v in message["headers"]}
            return
        if message["body"]:
            self.chunks.put_nowait(message["body"])
        if not message.get("more_body"):
            self.chunks.put_nowait(None)

    async def event(self) -> dict[str, str] | None:
        """The next event; None when the stream has ended."""
        chunk = await self.chunks.get()
        if chunk is None:
            return None
        return dict(line.split(": ", 1) for line in chunk.decode().strip().splitlines())

    def go(self) -> None:
        self._gone.set()


@asynccontextmanager
async def listening(
    served: Served, path: str, *scopes: str, **headers: str
) -> AsyncIterator[Listener]:
    listener = Listener()
    named = served.headers(*scopes, **headers).items()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"x"), *((k.encode(), v.encode()) for k, v in named)],
        "client": ("127.0.0.1", 1),
        "server": ("x", 80),
    }
    task = asyncio.create_task(served.app(scope, listener.receive, listener.send))
    try:
        yield listener
    finally:
        listener.go()
        await task


async def sell(served: Served, *numbers: int) -> None:
    answer = await served.client.post(
        "/shop/v1/sales", json={"numbers": numbers}, headers=served.headers()
    )
    assert answer.status_code == 201


async def test_a_view_comes_at_once_and_whenever_it_is_another_until_it_is_over(
    served: Served,
) -> None:
    async with listening(served, "/shop/v1/stock/997/changes") as listener:
        assert await listener.event() == {"id": "1", "retry": "1000", "data": '{"left":1000}'}
        await sell(served, 1)
        assert await listener.event() == {"id": "2", "retry": "1000", "data": '{"left":999}'}
        await sell(served, 2, 3)
        assert await listener.event() == {"id": "3", "retry": "1000", "data": '{"left":997}'}
        assert await listener.event() is None
    assert listener.status == 200
    assert listener.headers["content-type"].startswith("text/event-stream")
    assert listener.headers["cache-control"] == "no-store"


async def test_a_stream_ends_when_the_process_does(served: Served) -> None:
    async with listening(served, "/shop/v1/stock/0/changes") as listener:
        assert await listener.event() is not None
        served.host.process.end()
        assert await listener.event() is None


async def test_a_stream_ends_when_what_it_shows_is_gone(served: Served) -> None:
    there = [Stock(left=1)]

    async def question(_: ShopService) -> Stock:
        if not there:
            raise NotFound("It was there a moment ago.")
        return there.pop()

    principal = served.keyring.verify(served.key("*:*"), served.host.clock.now())
    watch = Watch[ShopService](served.host, "shop", principal, Looks())
    answer = await watch.events(question, over=lambda _: False)
    assert isinstance(answer, Stream)
    assert isinstance(answer.iterator, AsyncIterator)
    chunks = [chunk async for chunk in answer.iterator]
    assert len(chunks) == 1


async def test_a_stream_ends_when_its_reader_goes(served: Served) -> None:
    async with listening(served, "/shop/v1/stock/0/changes") as listener:
        assert await listener.event() is not None


class Looked:
    """Something to be looked at, that counts the looks."""

    def __init__(self) -> None:
        self.value = self.looks = 0
        self.open = asyncio.Event()
        self.begun: asyncio.Queue[int] = asyncio.Queue()

    async def look(self) -> Stock:
        self.looks += 1
        seen = self.value
        self.begun.put_nowait(seen)
        await self.open.wait()
        return Stock(left=seen)


async def test_many_who_ask_at_once_cause_one_look_that_begins_after_they_asked() -> None:
    looks, counter, asked = Looks(), Looked(), (uuid4(), "stock")
    first = [asyncio.create_task(looks.shared(asked, counter.look)) for _ in range(5)]
    assert await counter.begun.get() == 0
    counter.value = 1
    later = [asyncio.create_task(looks.shared(asked, counter.look)) for _ in range(5)]
    counter.open.set()
    assert [(await task).left for task in first] == [0] * 5
    assert [(await task).left for task in later] == [1] * 5, "they asked after the change"
    assert counter.looks == 2


async def test_who_asks_for_something_else_has_a_look_of_their_own() -> None:
    looks, counter = Looks(), Looked()
    counter.open.set()
    asked = [(uuid4(), "stock"), (uuid4(), "stock")]
    await asyncio.gather(*(looks.shared(each, counter.look) for each in asked))
    assert counter.looks == 2


async def test_who_leaves_takes_the_answer_from_nobody_else() -> None:
    looks, counter, asked = Looks(), Looked(), (uuid4(), "stock")
    leaving, staying = (asyncio.create_task(looks.shared(asked, counter.look)) for _ in range(2))
    await counter.begun.get()
    leaving.cancel()
    counter.open.set()
    assert (await staying).left == 0
    assert counter.looks == 1


async def test_streams_have_an_end_in_number_too(served: Served) -> None:
    for _ in range(MOST):
        served.host.process.streams[uuid4()] += 1
    async with listening(served, "/shop/v1/stock/0/changes") as listener:
        refused = await listener.chunks.get()
    assert (listener.status, b"Too many streams" in (refused or b"")) == (429, True)


@pytest.mark.parametrize("path", ["/shop/v1/stock/0/changes", "/shop/v1/events"])
async def test_streams_have_an_end_in_number_however_many_ask_at_once(
    served: Served, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MOST", 6)
    async with AsyncExitStack() as stack:
        asking = (listening(served, path, accept="text/event-stream") for _ in range(10))
        listeners = [await stack.enter_async_context(each) for each in asking]
        while not all(each.status for each in listeners):  # noqa: ASYNC110 - a turn of the loop
            await asyncio.sleep(0)
        assert Counter(each.status for each in listeners) == {200: 3, 429: 7}
        assert served.host.process.streams.total() == 3
    assert not served.host.process.streams


async def test_one_tenant_has_half_of_the_places_and_keeps_nobody_else_out(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MOST", 4)
    process, one, two, three = served.host.process, uuid4(), uuid4(), uuid4()
    with ExitStack() as held:
        for tenant in (one, one, two, three):
            held.enter_context(watching.place(process, tenant))
            if process.streams[one] == 2:
                with pytest.raises(TooMany), watching.place(process, one):
                    pass
        with pytest.raises(TooMany), watching.place(process, uuid4()):
            pass
    assert not process.streams


async def test_a_place_is_given_back_by_who_is_refused_and_who_never_listens(
    served: Served,
) -> None:
    principal = served.keyring.verify(served.key("*:*"), served.host.clock.now())
    watch = Watch[ShopService](served.host, "shop", principal, Looks())

    async def gone(_: ShopService) -> Stock:
        raise NotFound("It was never there.")

    with pytest.raises(NotFound):
        await watch.events(gone, over=lambda _: False)
    assert not served.host.process.streams
    answer = await watch.events(ShopService.stock, over=lambda _: False)
    assert served.host.process.streams.total() == 1
    del answer
    async with asyncio.timeout(10):
        while served.host.process.streams:  # noqa: ASYNC110 - the loop closes what nobody holds
            await asyncio.sleep(0)


async def test_a_stream_is_as_guarded_as_any_answer(served: Served) -> None:
    async with listening(served, "/shop/v1/stock/0/changes", "ledger:read") as listener:
        refused = await listener.chunks.get()
    assert (listener.status, b"forbidden" in (refused or b"")) == (403, True)
