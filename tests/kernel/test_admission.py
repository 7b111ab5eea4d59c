"""Past capacity the answer is a quick no; health is asked whatever happens."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from martech.kernel import telemetry
from martech.kernel.admission import Admission
from martech.kernel.telemetry import RequestTimes, Trace

pytestmark = pytest.mark.anyio


def scope(path: str, headers: Iterable[tuple[bytes, bytes]] = ()) -> Any:
    return {"type": "http", "method": "POST", "path": path, "headers": list(headers)}


async def nothing() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


class Slow:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.entered = asyncio.Semaphore(0)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.entered.release()
        scope["path_template"] = "/slow"
        if scope["path"] == "/broken":
            raise ZeroDivisionError
        if scope["path"] == "/slow":
            await self.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def call(app: Any, path: str, headers: Iterable[tuple[bytes, bytes]] = ()) -> Any:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope(path, headers), nothing, send)
    return sent


async def test_past_the_limit_the_answer_is_503_and_when_to_come_back() -> None:
    slow = Slow()
    door = Admission(slow, RequestTimes(), most=2)
    inside = [asyncio.create_task(call(door, "/slow")) for _ in range(2)]
    for _ in inside:
        await slow.entered.acquire()
    start, body = await call(door, "/slow")
    assert start["status"] == 503
    assert dict(start["headers"])[b"retry-after"] == b"1"
    assert b'"status":503' in body["body"]
    for vital in ("/health/live", "/health/ready", "/metrics"):
        assert (await call(door, vital))[0]["status"] == 200
    assert (door.inside, door.shed) == (2, 1)
    slow.go.set()
    await asyncio.gather(*inside)
    assert (await call(door, "/slow"))[0]["status"] == 200
    assert door.inside == 0


async def test_a_place_is_given_back_whatever_happens() -> None:
    slow = Slow()
    door = Admission(slow, RequestTimes(), most=1)
    for _ in range(3):
        start, body = await call(door, "/broken")
        await slow.entered.acquire()
        assert start["status"] == 500
        assert b"ZeroDivision" not in body["body"]
    waiting = asyncio.create_task(call(door, "/slow"))
    await slow.entered.acquire()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert door.inside == 0


async def test_a_body_that_stops_coming_gives_its_place_back() -> None:
    pieces = [{"type": "http.request", "body": b"{", "more_body": True}]
    told: list[Any] = []

    async def stuck() -> Any:
        return pieces.pop() if pieces else await asyncio.Event().wait()

    async def reader(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass

    async def send(message: Any) -> None:
        told.append(message)

    door = Admission(reader, RequestTimes(), most=1, patience=0.01)
    await door(scope("/slow"), stuck, send)
    assert told[0]["status"] == 408
    assert (b"connection", b"close") in told[0]["headers"]
    assert door.inside == 0
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_an_answer_may_take_longer_than_a_body() -> None:
    slow = Slow()
    door = Admission(slow, RequestTimes(), most=1, patience=0.01)

    async def read_then_wait(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await slow(scope, receive, send)

    door.app = read_then_wait
    answering = asyncio.create_task(call(door, "/slow"))
    await slow.entered.acquire()
    past = asyncio.Event()  # time itself is what is waited for
    asyncio.get_running_loop().call_later(0.05, past.set)
    await past.wait()
    slow.go.set()
    assert (await answering)[0]["status"] == 200


async def test_requests_are_counted_by_route_and_not_by_address() -> None:
    times = RequestTimes()
    door = Admission(Slow(), times, most=9)
    for number in range(50):
        await call(door, f"/people/{number}")
    (family,) = times.collect()
    assert {sample.labels["route"] for sample in family.samples} == {"/slow"}
    (count,) = [s for s in family.samples if s.name.endswith("_count")]
    assert (count.value, count.labels["status"]) == (50, "2xx")


def test_buckets_add_up() -> None:
    times = RequestTimes()
    for seconds in (0.0005, 0.001, 0.02, 0.3, 99.0):
        times.add("/x", "GET", 200, seconds)
    (family,) = times.collect()
    buckets = {s.labels["le"]: s.value for s in family.samples if s.name.endswith("_bucket")}
    assert (buckets["0.001"], buckets["0.025"], buckets["0.5"], buckets["+Inf"]) == (2, 3, 4, 5)


PARENT = b"00-" + b"ab" * 16 + b"-" + b"cd" * 8 + b"-01"


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"00",
        PARENT[:-1],
        PARENT + b"-x",
        PARENT.upper(),
        PARENT.replace(b"ab" * 16, b"0" * 32),
    ],
)
def test_a_trace_is_carried_on_or_begun_anew(broken: bytes) -> None:
    carried = Trace.of([(b"traceparent", PARENT)])
    assert carried.trace == "ab" * 16
    assert carried.traceparent == PARENT.decode()  # nothing is recorded here: no span to be one of
    begun = Trace.of([(b"traceparent", broken)])
    assert begun.trace != carried.trace
    assert len(begun.trace) == 32
    assert begun.request == begun.trace


async def test_whoever_logs_meanwhile_knows_whose_request_it_is() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        trace = telemetry.current.get()
        assert trace is not None
        seen.append(trace.request)

    door = Admission(app, RequestTimes(), most=9)
    await asyncio.gather(*(call(door, "/", [(b"x-request-id", b"r%d" % n)]) for n in range(5)))
    assert sorted(seen) == ["r0", "r1", "r2", "r3", "r4"]
