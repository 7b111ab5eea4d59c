"""Outside systems hear what modules tell: CloudEvents of their own tenant, in batches or as a
stream, from wherever they stand. On both databases."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event

from martech.kernel.auth import IssuerKeyPublished, Revoked
from martech.kernel.http import hearing, watching
from martech.kernel.http.hearing import Asked, CloudEvent, Hearing
from martech.kernel.http.watching import MOST
from martech.kernel.messages import Event, wire_name
from martech.kernel.published.canvas import events, outward
from martech.kernel.settings import Settings
from martech.modules.access.module import module as access
from tests import databases
from tests.kernel.test_http import problem
from tests.kernel.test_watching import Listener, listening
from tests.sample.shop.contract import PriceChanged, Sale, Sold
from tests.serving import Served, serve

pytestmark = pytest.mark.anyio

EVENTS = "/shop/v1/events"
NEVER = 3600.0  # seconds
PRICE, SALE = "shop.price_changed.v1", "shop.sold.v1"


@pytest.fixture
async def served(sample_url: str) -> AsyncIterator[Served]:
    settings = Settings(database_url=sample_url, public_url="https://shop.example")
    async with serve(databases.SAMPLE, settings) as served:
        yield served


async def tell(served: Served, *told: Event, other: bool = False) -> None:
    tenant = uuid4() if other else served.tenant
    for event in told:
        async with served.host.databases["shop"].transaction(tenant) as tx:
            tx.publish(event)


def price(number: int) -> PriceChanged:
    return PriceChanged(article="tea", version=number)


async def ask(served: Served, **query: Any) -> httpx.Response:
    return await served.client.get(EVENTS, params=query, headers=served.headers("shop:hear"))


async def hear(served: Served, **query: Any) -> list[dict[str, Any]]:
    answer = await ask(served, **query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def test_what_was_told_is_a_batch_of_cloudevents(served: Served) -> None:
    await tell(served, price(1), Sold(items=[Sale(buyer="ada", number=n) for n in (1, 2)]))
    answer = await ask(served)
    assert answer.headers["content-type"] == "application/cloudevents-batch+json"
    changed, sold = answer.json()
    assert changed.pop("id") != sold.pop("id")
    assert changed.pop("time") < sold.pop("time")
    assert changed.pop("correlationid", None) is None
    envelope = {
        "specversion": "1.0",
        "source": "/martech/shop",
        "datacontenttype": "application/json",
        "tenant": str(served.tenant),
    }
    assert changed == {
        **envelope,
        "type": PRICE,
        "dataschema": f"https://shop.example/_schemas/{PRICE}",
        "subject": "tea",
        "position": 1,
        "data": {"article": "tea", "version": 1},
    }
    assert sold == {
        **envelope,
        "type": SALE,
        "dataschema": f"https://shop.example/_schemas/{SALE}",
        "position": 2,
        "data": {"items": [{"buyer": "ada", "number": 1}, {"buyer": "ada", "number": 2}]},
    }


async def test_the_official_sdk_reads_what_is_handed_out(served: Served) -> None:
    await tell(served, price(1), Sold(items=[Sale(buyer="ada", number=1)]))
    for handed in await hear(served):
        headers = {"content-type": "application/cloudevents+json"}
        read = from_structured_event(HTTPMessage(headers, json.dumps(handed).encode()))
        assert (str(read.get_id()), read.get_type()) == (handed["id"], handed["type"])
        assert read.get_data() == handed["data"]
        assert read.get_extension("position") == handed["position"]
        schema = await served.client.get(str(read.get_dataschema()))
        assert (schema.status_code, schema.json()["title"]) == (200, handed["type"])


async def test_a_reader_goes_on_behind_the_last_event_that_it_has(served: Served) -> None:
    await tell(served, *(price(n) for n in range(1, 6)))
    first = await ask(served, limit=2)
    assert [event["data"]["version"] for event in first.json()] == [1, 2]
    rest = await hear(served, after=first.json()[-1]["position"])
    assert [event["data"]["version"] for event in rest] == [3, 4, 5]
    following = first.links["next"]["url"]
    second = await served.client.get(following, headers=served.headers("shop:hear"))
    assert [event["data"]["version"] for event in second.json()] == [3, 4]
    last = await ask(served, after=5, types=PRICE)
    assert last.json() == []
    assert last.links["next"]["url"] == f"{EVENTS}?after=5&limit=100&types={PRICE}"


async def test_nobody_hears_what_is_another_tenants(served: Served) -> None:
    await tell(served, price(1))
    await tell(served, price(2), price(3), other=True)
    await tell(served, price(4))
    assert [event["data"]["version"] for event in await hear(served)] == [1, 4]
    assert [event["data"]["version"] for event in await hear(served, limit=1, after=1)] == [4]


async def test_a_reader_may_ask_for_some_types_only(served: Served) -> None:
    await tell(served, price(1), Sold(items=[Sale(buyer="ada", number=1)]), price(2))
    assert [event["type"] for event in await hear(served, types=SALE)] == [SALE]
    assert len(await hear(served, types=[SALE, PRICE])) == 3


async def test_a_type_that_is_not_told_is_refused_with_those_that_are(served: Served) -> None:
    refused = problem(await ask(served, types=[PRICE, "shop.moved.v1"]), 400)
    assert refused["field"] == "types"
    assert "'shop.moved.v1'" in str(refused["detail"])
    assert PRICE in str(refused["detail"])


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"after": "-1"}, "after"),
        ({"after": str(2**63)}, "after"),
        ({"after": "latest"}, "after"),
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"wait": "31"}, "wait"),
        ({"wait": "-1"}, "wait"),
    ],
)
@pytest.mark.parametrize("kind", ["sqlite"])
async def test_what_cannot_be_meant_is_refused_by_name(
    served: Served, query: dict[str, str], field: str
) -> None:
    assert problem(await ask(served, **query), 422)["field"] == field


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_hearing_needs_a_scope_of_its_own(served: Served) -> None:
    for scopes in (["shop:read", "shop:write"], ["ledger:hear"]):
        refused = await served.client.get(EVENTS, headers=served.headers(*scopes))
        assert "shop:hear" in str(problem(refused, 403)["detail"])
    write = {"authorization": f"Bearer {served.key('*:*', kind='write')}"}
    problem(await served.client.get(EVENTS, headers=write), 403)
    problem(await served.client.get(EVENTS), 401)


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_who_tells_nothing_is_not_heard(served: Served) -> None:
    problem(await served.client.get("/ledger/v1/events", headers=served.headers()), 404)


async def test_who_waits_is_told_at_once(served: Served) -> None:
    waiting = asyncio.create_task(hear(served, wait=30))
    while not served.host.process.streams:  # noqa: ASYNC110 - a place that is taken sets no event
        await asyncio.sleep(0)
    await tell(served, price(9), other=True)
    await tell(served, price(1))
    assert [event["data"]["version"] for event in await waiting] == [1]
    assert not served.host.process.streams


@pytest.mark.parametrize("waits", ["text/event-stream", "application/json"])
async def test_however_much_others_tell_a_reader_looks_now_and_then(
    served: Served, monkeypatch: pytest.MonkeyPatch, waits: str
) -> None:
    """All who hear of a module are woken by whoever commits there."""
    looks, look = 0, Hearing.look

    async def counted(self: Hearing, asked: Asked) -> list[CloudEvent]:
        nonlocal looks
        looks += 1
        return await look(self, asked)

    monkeypatch.setattr(Hearing, "look", counted)
    monkeypatch.setattr(hearing, "LOOK", NEVER)
    monkeypatch.setattr(watching, "LOOK", NEVER)
    headers = served.headers("shop:hear", accept=waits)
    reading = asyncio.create_task(served.client.get(f"{EVENTS}?wait=30", headers=headers))
    while not served.host.process.streams:  # noqa: ASYNC110 - a place that is taken sets no event
        await asyncio.sleep(0)
    await tell(served, *(price(n) for n in range(20)), other=True)
    served.host.process.end()
    await reading
    assert looks == 1


async def test_who_waits_is_let_go_when_the_process_ends(served: Served) -> None:
    served.host.process.end()
    assert await hear(served, wait=30) == []


async def test_waiting_has_an_end_of_its_own(served: Served) -> None:
    assert await hear(served, wait=0.01) == []


async def test_as_a_stream_it_goes_on_with_what_is_told_next(served: Served) -> None:
    await tell(served, price(1))
    accept = {"accept": "text/event-stream"}
    async with listening(served, EVENTS, "shop:hear", **accept) as listener:
        first = await received(listener)
        assert (first["id"], first["data"]["data"]) == (1, {"article": "tea", "version": 1})
        assert first["data"]["type"] == PRICE
        await tell(served, price(2), other=True)
        await tell(served, price(3))
        second = await received(listener)
        assert (second["id"], second["data"]["data"]["version"]) == (3, 3)
        assert listener.headers["content-type"].startswith("text/event-stream")
        assert served.host.process.streams.total() == 1
    assert not served.host.process.streams


async def test_a_stream_goes_on_behind_the_last_event_that_its_reader_has(served: Served) -> None:
    await tell(served, price(1), price(2), price(3))
    headers = {"accept": "text/event-stream", "last-event-id": "2"}
    async with listening(served, EVENTS, "shop:hear", **headers) as listener:
        assert (await received(listener))["data"]["data"]["version"] == 3


async def test_a_stream_ends_with_the_process(served: Served) -> None:
    await tell(served, price(1))
    async with listening(served, EVENTS, "shop:hear", accept="text/event-stream") as listener:
        assert await listener.event() is not None
        served.host.process.end()
        await tell(served, price(2))
        while await listener.event() is not None:
            continue


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize("last", ["-1", "two", "9" * 20, str(2**63), "1.5", "²"])
async def test_an_id_that_is_no_events_is_refused(served: Served, last: str) -> None:
    headers = served.headers("shop:hear", accept="text/event-stream")
    sent = {**headers, "last-event-id": last.encode()}
    refused = await served.client.get(EVENTS, headers=sent)  # type: ignore[arg-type]
    assert problem(refused, 400)["field"] == "Last-Event-ID"


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_streams_and_those_who_wait_have_an_end_in_number(served: Served) -> None:
    for _ in range(MOST):
        served.host.process.streams[uuid4()] += 1
    problem(await ask(served, wait=1), 429)
    stream = served.headers("shop:hear", accept="text/event-stream")
    problem(await served.client.get(EVENTS, headers=stream), 429)
    assert await hear(served) == [], "who does not wait needs no place"


def test_all_that_a_contract_tells_may_leave_but_what_is_the_installations_own() -> None:
    kept = {wire_name(event) for event in events(access)} - outward(access).keys()
    assert kept == {wire_name(IssuerKeyPublished)}
    assert wire_name(Revoked) in outward(access)


async def received(listener: Listener) -> dict[str, Any]:
    event = await listener.event()
    assert event is not None
    return {"id": int(event["id"]), "data": json.loads(event["data"])}
