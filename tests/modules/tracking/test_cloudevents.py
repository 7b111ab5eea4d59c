"""Other systems tell by CloudEvents 1.0: the official SDK is the client, in all three modes."""

from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest
from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from martech.modules.tracking.contract import KINDS
from martech.modules.tracking.domain.bodies import BATCH_BYTES
from tests.modules.tracking.calling import Tracked

pytestmark = pytest.mark.anyio

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
MODES = {"structured": to_structured_event, "binary": to_binary_event}
BOUGHT = {"total": 12.5, "items": [{"sku": "tea", "name": "Grüner Tee"}]}


def event(data: object = BOUGHT, **attributes: Any) -> CloudEvent:
    """A good one; *attributes* change it."""
    made = {
        "id": "o-1",
        "source": "https://shop.example/orders",
        "type": "com.example.order.completed",
        "time": datetime(2026, 1, 31, 12, tzinfo=UTC),
        "datacontenttype": "application/json",
        "subject": "ada",
        **attributes,
    }
    return CloudEvent({k: v for k, v in made.items() if v is not None}, data)  # type: ignore[arg-type]


async def send(tracked: Tracked, message: HTTPMessage) -> httpx.Response:
    return await tracked.served.client.post(
        "/v1/cloudevents",
        content=message.body,
        headers=message.headers,
        auth=(tracked.write_key, ""),
    )


def to_batch_event(events: list[CloudEvent]) -> HTTPMessage:
    """The SDK writes each event; it has no word for a batch."""
    bodies = [to_structured_event(each).body for each in events]
    return HTTPMessage({"content-type": BATCH}, b"[" + b",".join(bodies) + b"]")


async def written(tracked: Tracked, told: object, media: str = STRUCTURED) -> httpx.Response:
    """What no SDK would send."""
    body = told if isinstance(told, bytes) else msgspec.json.encode(told)
    return await send(tracked, HTTPMessage({"content-type": media}, body))


GOOD = {"specversion": "1.0", "id": "1", "source": "/s", "type": "Tried", "userid": "ada"}


@pytest.mark.parametrize("mode", MODES)
async def test_an_event_is_something_that_a_person_did(tracked: Tracked, mode: str) -> None:
    answer = await send(tracked, MODES[mode](event()))
    assert (answer.status_code, answer.json()) == (200, {"success": True}), answer.text
    (told,) = await tracked.told()
    assert (told.type, told.event) == ("track", "com.example.order.completed")
    assert (told.user_id, told.anonymous_id, told.person_key) == ("ada", None, "user:ada")
    assert told.message_id == "https://shop.example/orders o-1"
    assert told.timestamp == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert msgspec.json.decode(told.properties) == BOUGHT
    context = msgspec.json.decode(told.context)["cloudevent"]
    assert (context["source"], context["id"]) == ("https://shop.example/orders", "o-1")


async def test_a_batch_tells_of_every_event_in_order(tracked: Tracked) -> None:
    answer = await send(tracked, to_batch_event([event(id=f"o-{n}") for n in range(5)]))
    assert answer.status_code == 200, answer.text
    ids = [told.message_id.split()[1] for told in await tracked.told()]
    assert ids == [f"o-{n}" for n in range(5)]


async def test_source_and_id_tell_an_event_from_all_others_in_whatever_mode(
    tracked: Tracked,
) -> None:
    for message in (
        to_structured_event(event()),
        to_binary_event(event()),
        to_batch_event([event(), event(source="/another"), event(id="o-2")]),
    ):
        assert (await send(tracked, message)).status_code == 200
    assert await tracked.totals() == (5, 3, 2, 0)


async def test_what_is_not_ascii_arrives_as_it_was_in_whatever_mode(tracked: Tracked) -> None:
    for mode, send_as in MODES.items():
        message = send_as(event(id=mode, type='Tee "grün" 100 %', userid="Zoë", subject=None))
        assert (await send(tracked, message)).status_code == 200
    for told in await tracked.told():
        assert (told.event, told.user_id) == ('Tee "grün" 100 %', "Zoë")


async def test_a_binary_value_may_stand_in_quotes(tracked: Tracked) -> None:
    headers = {f"ce-{name}": value for name, value in GOOD.items()}
    answer = await send(tracked, HTTPMessage({**headers, "ce-type": r'"so \"quoted\""'}, b""))
    assert answer.status_code == 200, answer.text
    (told,) = await tracked.told()
    assert told.event == 'so "quoted"'
    assert bytes(told.properties) == b"{}"


async def test_who_it_was_is_said_by_an_extension_or_by_the_subject(tracked: Tracked) -> None:
    await send(
        tracked,
        to_batch_event(
            [
                event(id="1", userid="ada", subject="order 7"),
                event(id="2", anonymousid="device", subject="order 7"),
                event(id="3", subject="ada"),
                event(id="4", userid="ada", anonymousid="device", subject=None),
            ]
        ),
    )
    people = [(told.user_id, told.anonymous_id) for told in await tracked.told()]
    assert people == [("ada", None), (None, "device"), ("ada", None), ("ada", "device")]


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_a_type_that_is_a_kind_of_ours_is_that_kind(tracked: Tracked) -> None:
    more = {"alias": {"previousid": "device"}, "group": {"groupid": "acme"}}
    events = [event(id=name, type=name, userid="ada", **more.get(name, {})) for name in KINDS]
    assert (await send(tracked, to_batch_event(events))).status_code == 200
    told = {each.type: each for each in await tracked.told()}
    assert told.keys() == set(KINDS)
    for name in ("identify", "group"):
        assert msgspec.json.decode(told[name].traits) == BOUGHT
    assert told["page"].event == "ada"
    assert msgspec.json.decode(told["screen"].properties) == BOUGHT
    assert (told["alias"].previous_id, told["group"].group_id) == ("device", "acme")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"specversion": None}, "specversion"),
        ({"specversion": "0.3"}, "specversion"),
        ({"id": None}, "id"),
        ({"id": ""}, "id"),
        ({"id": 7}, "id"),
        ({"id": "x" * 510}, "id"),
        ({"id": "x" * 600}, "id"),
        ({"source": None}, "source"),
        ({"source": "two words"}, "source"),
        ({"type": " "}, "type"),
        ({"time": "yesterday"}, "time"),
        ({"time": "2026-01-31T12:00:00"}, "time"),
        ({"time": 7}, "time"),
        ({"userid": None}, "userid"),
        ({"type": "alias", "previousid": None}, "previousid"),
        ({"type": "alias", "userid": None, "anonymousid": "d", "previousid": "e"}, "userid"),
        ({"type": "group"}, "groupid"),
        ({"data": [1]}, "data"),
        ({"data": "text"}, "data"),
        ({"data": {"a": "x\0y"}}, "data.a"),
        ({"data_base64": "eHh4"}, "data_base64"),
        ({"datacontenttype": "text/xml"}, "datacontenttype"),
        ({"userId": "ada"}, "userId"),
        ({"extension": {"a": 1}}, "extension"),
        ({"extension": 1.5}, "extension"),
    ],
)
@pytest.mark.parametrize("kind", ["sqlite"])
async def test_a_wrong_event_is_refused_by_field_and_with_the_cure(
    tracked: Tracked, change: dict[str, object], field: str
) -> None:
    told = {name: value for name, value in (GOOD | change).items() if value is not None}
    answer = await written(tracked, told)
    assert answer.status_code == 400, answer.text
    problem = answer.json()
    assert problem["field"] == field
    assert problem["detail"].endswith(".")
    assert await tracked.totals() == (1, 0, 0, 1)


@pytest.mark.parametrize(
    "body",
    [
        b'{"specversion":"1.0","id":"1","id":"2","source":"/s","type":"t","userid":"a"}',
        b'{"specversion":"1.0","id":"1","source":"/s","type":"t","userid":"a","data":{"a":1,"a":2}}',
        b'{"specversion":"1.0","id":"1","source":"/s","type":"t","userid":"\\ud800"}',
        b'{"specversion":"1.0","id":"1","source":"/s","type":"t","userid":"a","data":'
        + b'{"a":' * 40
        + b"1"
        + b"}" * 40
        + b"}",
        b'{"specversion":"1.0","id":"1","source":"/s","type":"t","userid":"a","data":{"a":"'
        + b"x" * 33_000
        + b'"}}',
    ],
)
@pytest.mark.parametrize("kind", ["sqlite"])
async def test_what_readers_would_read_differently_is_refused(
    tracked: Tracked, body: bytes
) -> None:
    assert (await written(tracked, body)).status_code == 400
    assert await tracked.totals() == (1, 0, 0, 1)


@pytest.mark.parametrize(
    ("media", "body", "status", "field"),
    [
        (STRUCTURED, b"", 400, None),
        (STRUCTURED, b"[]", 400, None),
        (STRUCTURED, b'{"id": \xff}', 400, None),
        (BATCH, b"{}", 400, None),
        (BATCH, b"[{]", 400, None),
        (BATCH, b" " * (BATCH_BYTES + 1), 413, None),
        ("application/cloudevents+avro", b"x", 400, "Content-Type"),
        ("application/json", b"{}", 400, "Content-Type"),
        ("", b"{}", 400, "Content-Type"),
    ],
)
@pytest.mark.parametrize("kind", ["sqlite"])
async def test_a_body_in_which_no_event_can_be_found_is_refused(
    tracked: Tracked, media: str, body: bytes, status: int, field: str | None
) -> None:
    answer = await written(tracked, body, media)
    assert answer.status_code == status, answer.text
    assert answer.json().get("field") == field
    assert await tracked.totals() == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("ce-type", "100 %", "ce-type"),
        ("ce-type", "%ff", "ce-type"),
        ("ce-type", "gr\xfcn", "ce-type"),
        ("ce-data", "{}", "ce-data"),
        ("ce-id", "again", "ce-id"),
        ("ce-user_id", "ada", "user_id"),
        ("content-type", "text/xml", "datacontenttype"),
    ],
)
@pytest.mark.parametrize("kind", ["sqlite"])
async def test_a_wrong_header_is_refused_by_name(
    tracked: Tracked, name: str, value: str, field: str
) -> None:
    good = [(f"ce-{each}", said) for each, said in GOOD.items() if f"ce-{each}" != "ce-type"]
    good += [("ce-type", "Tried")] if name != "ce-type" else []
    headers = [(k.encode(), v.encode("latin-1")) for k, v in [*good, (name, value)]]
    answer = await tracked.served.client.post(
        "/v1/cloudevents", content=b"{}", headers=headers, auth=(tracked.write_key, "")
    )
    assert answer.status_code == 400, answer.text
    assert answer.json()["field"] == field


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_the_data_of_a_binary_event_is_its_data_and_nothing_else(tracked: Tracked) -> None:
    headers = {f"ce-{name}": value for name, value in GOOD.items()}
    for body in (b'{}, "type": "forged"', b"{}}", b'{}, "data": {}', b"7", b"nothing"):
        answer = await send(tracked, HTTPMessage(headers, body))
        assert answer.status_code == 400, body
    assert await tracked.told() == []


async def test_of_a_batch_the_good_are_taken_and_the_others_can_be_found(tracked: Tracked) -> None:
    wrong = {**GOOD, "source": "/bad", "time": "yesterday"}
    answer = await written(tracked, [GOOD, wrong, 7, {**GOOD, "id": "2"}], BATCH)
    assert answer.status_code == 200
    assert await tracked.totals() == (4, 2, 0, 2)
    (found,) = (await tracked.rejections("?message_id=/bad%201")).data
    assert (found.type, found.field) == ("track", "time")


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_nobody_tells_without_a_key_that_may(tracked: Tracked) -> None:
    client, served = tracked.served.client, tracked.served
    message = to_structured_event(event())
    for headers, status in (
        ({}, 401),
        ({"authorization": f"Bearer {served.key('profiles:read')}"}, 403),
        ({"authorization": f"Bearer {served.key('tracking:write')}"}, 200),
        ({"authorization": f"Bearer {tracked.write_key}"}, 200),
    ):
        answer = await client.post(
            "/v1/cloudevents", content=message.body, headers={**message.headers, **headers}
        )
        assert answer.status_code == status, answer.text
