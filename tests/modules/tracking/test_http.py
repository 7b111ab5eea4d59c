"""The tracking API: who is let in, what is answered, and when."""

import asyncio
import gzip
import zlib
from uuid import uuid4

import msgspec
import pytest

from martech.modules.tracking.contract import KINDS
from martech.modules.tracking.domain.bodies import BATCH_BYTES
from tests.modules.tracking.calling import Tracked
from tests.modules.tracking.items import item
from tests.modules.tracking.test_judgement import GOOD

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("name", KINDS)
async def test_each_kind_has_a_path_and_a_short_one(tracked: Tracked, name: str) -> None:
    body = next(told for kind, told in GOOD.items() if kind == name)
    for path in (name, name[0]):
        answer = await tracked.post(path, body)
        assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert [event.type for event in await tracked.told()] == [name, name]


async def test_a_batch_tells_of_every_item_in_order(tracked: Tracked) -> None:
    await tracked.batch(*(item(messageId=f"m{n}") for n in range(1200)))
    commits = await tracked.commits()
    assert [len(told.items) for told in commits] == [500, 500, 200]
    assert [event.message_id for event in await tracked.told()] == [f"m{n}" for n in range(1200)]
    assert await tracked.totals() == (1200, 1200, 0, 0)


async def test_the_key_may_stand_in_the_body(tracked: Tracked) -> None:
    client, key = tracked.served.client, tracked.write_key
    for path, body in (("batch", {"batch": [item()]}), ("track", item())):
        answer = await client.post(f"/v1/{path}", json={**body, "writeKey": key})
        assert answer.status_code == 200, answer.text
    assert await tracked.totals() == (2, 2, 0, 0)


async def test_a_key_in_the_header_counts_before_one_in_the_body(tracked: Tracked) -> None:
    answer = await tracked.post("track", item(writeKey="nonsense"))
    assert answer.status_code == 200


@pytest.mark.parametrize("key", [None, "", "nonsense", 7])
async def test_without_a_good_key_nobody_is_let_in(tracked: Tracked, key: object) -> None:
    answer = await tracked.served.client.post("/v1/track", json=item(writeKey=key))
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert await tracked.totals() == (0, 0, 0, 0)


async def test_a_secret_key_needs_the_scope(tracked: Tracked) -> None:
    client, served = tracked.served.client, tracked.served
    for scope, status in (("tracking:write", 200), ("profiles:read", 403)):
        headers = {"authorization": f"Bearer {served.key(scope)}"}
        assert (await client.post("/v1/track", json=item(), headers=headers)).status_code == status


async def test_a_write_key_cannot_read(tracked: Tracked) -> None:
    headers = {"authorization": f"Bearer {tracked.write_key}"}
    answer = await tracked.served.client.get("/tracking/v1/counts", headers=headers)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "text/plain", "application/x-www-form-urlencoded", "image/png", ""],
)
async def test_no_header_says_what_the_body_is(tracked: Tracked, content_type: str) -> None:
    answer = await tracked.post("track", item(), **{"content-type": content_type})
    assert answer.status_code == 200
    assert await tracked.totals() == (1, 1, 0, 0)


@pytest.mark.parametrize("encoding", ["gzip", "identity", ""])
async def test_gzip_is_seen_by_its_bytes(tracked: Tracked, encoding: str) -> None:
    for body in (gzip.compress(msgspec.json.encode(item())), msgspec.json.encode(item())):
        answer = await tracked.post("track", body, **{"content-encoding": encoding})
        assert answer.status_code == 200, answer.text


async def test_one_bad_item_does_not_fail_the_rest(tracked: Tracked) -> None:
    await tracked.batch(
        item(messageId="a"), item(messageId="b", event=None), 7, item(messageId="c"), item(type="x")
    )
    assert [event.message_id for event in await tracked.told()] == ["a", "c"]
    assert await tracked.totals() == (5, 2, 0, 3)
    assert (await tracked.counts()).by_type["unknown"].rejected == 2
    (found,) = (await tracked.rejections("?message_id=b")).data
    assert (found.type, found.field) == ("track", "event")
    assert "name of what was done" in found.reason


async def test_a_bad_single_event_is_answered_and_counted(tracked: Tracked) -> None:
    answer = await tracked.post("track", item(messageId="m", event=None))
    assert answer.status_code == 400
    assert answer.json()["field"] == "event"
    assert await tracked.totals() == (1, 0, 0, 1)
    assert (await tracked.rejections()).data[0].message_id == "m"


async def test_rejections_come_in_pages_the_newest_first(tracked: Tracked) -> None:
    for n in range(5):
        await tracked.batch(item(messageId=f"m{n}", event=None))
    seen, after = [], ""
    while True:
        page = await tracked.rejections(f"?limit=2{after}")
        seen += [rejected.message_id for rejected in page.data]
        if page.next is None:
            break
        after = f"&after={page.next}"
    assert seen == ["m4", "m3", "m2", "m1", "m0"]


async def test_an_empty_batch_is_fine(tracked: Tracked) -> None:
    await tracked.batch()
    assert await tracked.totals() == (0, 0, 0, 0)


async def test_sixteen_at_once_with_one_message_id_are_accepted_once(tracked: Tracked) -> None:
    answers = await asyncio.gather(
        *(tracked.post("track", item(messageId="same")) for _ in range(16))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len(await tracked.told()) == 1
    assert await tracked.totals() == (16, 1, 15, 0)


async def test_a_message_id_is_known_again_later_and_within_one_batch(tracked: Tracked) -> None:
    await tracked.batch(item(messageId="a", event="first"), item(messageId="a", event="second"))
    await tracked.batch(item(messageId="b"), item(messageId="a", type="page", event=None))
    assert [event.event for event in await tracked.told()] == ["first", "Order Completed"]
    assert await tracked.totals() == (4, 2, 2, 0)


async def test_a_rejected_item_may_be_mended_under_its_message_id(tracked: Tracked) -> None:
    await tracked.batch(item(messageId="a", event=None))
    await tracked.batch(item(messageId="a"))
    assert await tracked.totals() == (2, 1, 0, 1)


async def test_without_message_ids_nothing_is_a_duplicate(tracked: Tracked) -> None:
    await tracked.batch(item(), item())
    await tracked.batch(item())
    assert await tracked.totals() == (3, 3, 0, 0)


async def test_tenants_do_not_share_message_ids_counts_or_rejections(tracked: Tracked) -> None:
    other = Tracked(tracked.served, uuid4())
    await asyncio.gather(
        *(
            who.batch(item(messageId="a"), item(messageId="b", event=None))
            for who in (tracked, other)
        )
    )
    for who in (tracked, other):
        assert await who.totals() == (2, 1, 0, 1)
        assert len((await who.rejections()).data) == 1


async def test_the_envelope_speaks_for_items_that_say_less(tracked: Tracked) -> None:
    context = {"library": {"name": "x"}}
    await tracked.batch(item(), item(context={"ip": "::1"}), context=context)
    told = [msgspec.json.decode(event.context) for event in await tracked.told()]
    assert told == [context, {"ip": "::1"}]


async def test_too_much_at_once_is_refused(tracked: Tracked) -> None:
    for body in (b" " * (BATCH_BYTES + 1), gzip.compress(b" " * (BATCH_BYTES + 1))):
        answer = await tracked.post("batch", body)
        assert answer.status_code == 413
    assert await tracked.totals() == (0, 0, 0, 0)


async def test_a_large_item_costs_only_itself(tracked: Tracked) -> None:
    large = item(messageId="large", properties={"x": "x" * 32_768})
    await tracked.batch(item(), large)
    assert await tracked.totals() == (2, 1, 0, 1)
    assert (await tracked.rejections()).data[0].message_id == "large"


UNREADABLE: list[bytes] = [
    b"",
    b"{",
    b"[]",
    b"\x1f\x8b\x08 this is no gzip",
    gzip.compress(b'{"batch":[]}', mtime=0)[:-4],
    zlib.compress(b'{"batch":[]}'),
    b'{"batch": 3}',
    b'{"batch": [], "batch": []}',
]


async def test_what_cannot_be_read_gets_its_problem(tracked: Tracked) -> None:
    for body in UNREADABLE:
        answer = await tracked.post("batch", body)
        assert answer.status_code == 400, body
        assert answer.headers["content-type"] == "application/problem+json", body
        assert answer.json()["detail"].endswith("."), body


async def test_the_browser_is_told_where_to_send(tracked: Tracked) -> None:
    client, key = tracked.served.client, tracked.write_key
    answer = await client.get(f"/v1/projects/{key}/settings", headers={"origin": "http://shop"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.json()["integrations"]["Segment.io"] == {
        "apiKey": key,
        "apiHost": "x/v1",
        "protocol": "http",
    }
    assert (await client.get("/v1/projects/nonsense/settings")).status_code == 401


async def test_a_page_of_another_site_may_send(tracked: Tracked) -> None:
    asked = {
        "origin": "https://shop.example.com",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization, x-retry-count",
    }
    answer = await tracked.served.client.options("/v1/t", headers=asked)
    assert answer.is_success
    for name in ("authorization", "x-retry-count"):
        assert name in answer.headers["access-control-allow-headers"].lower()
