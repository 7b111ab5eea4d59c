"""The REST API of campaigns, as its callers see it. On both databases."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from sqlalchemy import Row, select

from martech.kernel import audit
from martech.kernel.columns import table
from martech.modules.campaigns.contract import CampaignStatus, Counts
from martech.modules.campaigns.domain import send_of
from martech.modules.delivery import contract as delivery
from tests.kernel.test_watching import listening
from tests.modules.campaigns.conftest import CONTENT, NOON, SEGMENT, Desk, nobody

pytestmark = pytest.mark.anyio

LATER = (NOON + timedelta(hours=1)).isoformat()
PLAN = {"name": "November", "segment_id": str(SEGMENT), "content_id": str(CONTENT)}
ORDERS = ["launch", "schedule", "unschedule", "pause", "resume", "cancel"]


def problem(response: httpx.Response) -> tuple[int, str | None, str]:
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == response.status_code
    return response.status_code, body.get("field"), body["detail"]


async def give(desk: Desk, order: str, campaign: str, **more: Any) -> httpx.Response:
    body = {"at": LATER} if order == "schedule" else None
    return await desk.call("POST", f"/{campaign}/{order}", body, **more)


async def test_a_campaign_is_planned_shown_changed_and_deleted(desk: Desk) -> None:
    answer = await desk.call("POST", "", {**PLAN, "rate": 20})
    planned = answer.json()
    path = f"/{planned['id']}"
    other = str(UUID(int=5))
    changed = await desk.do("PATCH", path, {"name": "December", "rate": None, "segment_id": other})
    shown = await desk.do("GET", path)
    removed = await desk.call("DELETE", path)
    gone = await desk.call("GET", path)

    assert answer.status_code == 201
    assert planned == {
        "id": planned["id"],
        **PLAN,
        "content_version": None,
        "rate": 20.0,
        "status": "draft",
        **dict.fromkeys(["scheduled_at", "launched_at", "completed_at", "problem"]),
        "created_at": "2026-11-27T12:00:00Z",
        "send_id": str(send_of(UUID(planned["id"]))),
    }
    assert shown == changed == {**planned, "name": "December", "rate": None, "segment_id": other}
    assert removed.status_code == 204
    assert problem(gone)[0] == 404


async def test_campaigns_come_in_pages_the_newest_first(desk: Desk) -> None:
    made = [await desk.plan(f"campaign {number}") for number in range(5)]
    await give(desk, "launch", made[2])
    pages, after = [], ""
    while True:
        page = await desk.do("GET", f"?limit=2{after}")
        pages.append([campaign["id"] for campaign in page["data"]])
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    launching = await desk.do("GET", "?status=launching")

    assert pages == [[made[4], made[3]], [made[2], made[1]], [made[0]]]
    assert [campaign["id"] for campaign in launching["data"]] == [made[2]]


WRONG: list[tuple[str, str, object, int, str]] = [
    ("POST", "", {**PLAN, "name": ""}, 422, "name"),
    ("POST", "", {**PLAN, "name": "x" * 201}, 422, "name"),
    ("POST", "", {**PLAN, "name": " \t"}, 422, "name"),
    ("POST", "", {**PLAN, "name": "two\nlines"}, 422, "name"),
    ("POST", "", {**PLAN, "name": "\x1b[31mred"}, 422, "name"),
    ("PATCH", "/{id}", {"name": "   "}, 422, "name"),
    ("POST", "", {**PLAN, "rate": 0}, 422, "rate"),
    ("POST", "", {**PLAN, "rate": 0.001}, 422, "rate"),
    ("POST", "", {**PLAN, "rate": 10_001}, 422, "rate"),
    ("POST", "", {**PLAN, "segment_id": "all"}, 422, "segment_id"),
    ("POST", "", {"name": "x", "segment_id": str(SEGMENT)}, 422, "content_id"),
    ("POST", "", {**PLAN, "status": "sending"}, 422, "status"),
    ("PATCH", "/{id}", {"rate": -1}, 422, "rate"),
    ("PATCH", "/{id}", {"name": None}, 422, "name"),
    ("PATCH", "/{id}", {"scheduled_at": LATER}, 422, "scheduled_at"),
    ("POST", "/{id}/schedule", {"at": "2026-11-27T12:00:00Z"}, 422, "at"),
    ("POST", "/{id}/schedule", {"at": "2026-11-27T11:59:59Z"}, 422, "at"),
    ("POST", "/{id}/schedule", {"at": "0001-01-01T00:00:00+14:00"}, 422, "at"),
    ("POST", "/{id}/schedule", {"at": "9999-12-31T23:59:59-12:00"}, 422, "at"),
    ("POST", "/{id}/schedule", {"at": "2027-01-01T12:00:00"}, 422, "at"),
    ("POST", "/{id}/schedule", {"at": "tomorrow"}, 422, "at"),
    ("POST", "/{id}/schedule", {}, 422, "at"),
    ("GET", "?after=nonsense", None, 422, "after"),
    ("GET", "?limit=0", None, 422, "limit"),
    ("GET", "?status=asleep", None, 422, "status"),
]


async def test_what_is_wrong_is_said_with_its_field(desk: Desk) -> None:
    campaign = await desk.plan()
    for method, path, body, *wanted in WRONG:
        answer = await desk.call(method, path.format(id=campaign), body)
        assert answer.is_client_error, (method, path, body)
        assert [*problem(answer)[:2]] == wanted, (method, path, body)
        assert (await desk.do("GET", f"/{campaign}"))["status"] == "draft", (method, path, body)


async def test_a_name_is_shown_without_what_is_around_it(desk: Desk) -> None:
    campaign = await desk.plan("  Family 👨\u200d👩\u200d👧 day ")
    assert (await desk.do("GET", f"/{campaign}"))["name"] == "Family 👨\u200d👩\u200d👧 day"


async def test_what_cannot_be_done_now_says_what_can(ready: Desk) -> None:
    campaign = await ready.plan()
    refused = {order: await give(ready, order, campaign) for order in ("pause", "resume", "cancel")}
    assert {order: problem(answer) for order, answer in refused.items()} == {
        order: (409, None, f"What is draft cannot be {done}. {CURE}")
        for order, done in {"pause": "paused", "resume": "resumed", "cancel": "cancelled"}.items()
    }
    await give(ready, "launch", campaign)
    again = problem(await give(ready, "launch", campaign))
    assert again == (409, None, "What is launching cannot be launched. Pause it, or cancel it.")
    for method, body in (("PATCH", {"name": "x"}), ("DELETE", None)):
        assert problem(await ready.call(method, f"/{campaign}", body))[0] == 409


CURE = "Launch it, schedule it, or delete it."


async def test_an_order_given_twice_is_as_good_as_once(ready: Desk) -> None:
    campaign = await ready.plan()
    await ready.order(campaign, "launch")
    for order, status in (("pause", "paused"), ("resume", "launching"), ("cancel", "cancelled")):
        assert [await ready.order(campaign, order) for _ in range(2)] == [status, status]
    await ready.settle()
    assert (await ready.status(campaign))["status"] == "cancelled"


async def test_what_is_scheduled_can_still_be_changed(desk: Desk) -> None:
    campaign = await desk.plan()
    await give(desk, "schedule", campaign)
    changed = await desk.do("PATCH", f"/{campaign}", {"rate": 5})
    assert (changed["status"], changed["rate"]) == ("scheduled", 5)


async def test_under_way_its_rate_and_nothing_else_can_be_changed(ready: Desk) -> None:
    campaign = await ready.plan(rate=10)
    await ready.order(campaign, "launch")
    faster = await ready.do("PATCH", f"/{campaign}", {"rate": 20})
    await ready.settle()
    await ready.order(campaign, "pause")
    await ready.do("PATCH", f"/{campaign}", {"rate": None})
    await ready.settle()
    refused = await ready.call("PATCH", f"/{campaign}", {"rate": 5, "name": "x"})
    await ready.order(campaign, "cancel")
    over = await ready.call("PATCH", f"/{campaign}", {"rate": 5})

    assert (faster["status"], faster["rate"]) == ("launching", 20)
    asked = await ready.asked(campaign)
    assert asked[-2:] == ["pause", "rate None"]
    assert problem(refused)[2].startswith("What is paused cannot be changed, but for its rate.")
    assert problem(over)[:2] == (409, None)


@pytest.mark.parametrize("order", ORDERS)
async def test_a_foreign_campaign_is_not_there(desk: Desk, order: str) -> None:
    campaign = await desk.plan()
    theirs = await give(desk, order, campaign, tenant="globex")
    nobodys = await give(desk, order, nobody(), tenant="globex")

    assert problem(theirs)[0] == problem(nobodys)[0] == 404
    for path in ("", "/status", "/progress"):
        seen = await desk.call("GET", f"/{campaign}{path}", tenant="globex")
        assert problem(seen)[0] == 404
    assert (await desk.do("GET", "", tenant="globex"))["data"] == []


async def test_a_launch_sent_again_with_its_key_gets_the_first_answer(ready: Desk) -> None:
    campaign, key = await ready.plan(), {"idempotency-key": "a2b1"}
    first = await give(ready, "launch", campaign, headers=key)
    await ready.settle()
    again = await give(ready, "launch", campaign, headers=key)
    assert (first.status_code, first.json()) == (again.status_code, again.json())


async def test_who_ordered_what_is_on_record(ready: Desk) -> None:
    campaign = await ready.plan()
    for order in ("schedule", "unschedule", "launch", "pause", "resume", "cancel"):
        await give(ready, order, campaign)
    rows = await recorded(ready)
    assert [row.action.partition(".")[2] for row in rows] == [
        *("plan", "schedule", "unschedule", "launch", "pause", "resume", "cancel")
    ]
    assert {row.subject for row in rows} == {f"campaign:{campaign}"}
    assert audit.OPERATOR not in {row.actor for row in rows}


async def test_what_was_planned_and_what_it_was_before_a_change_are_on_record(desk: Desk) -> None:
    campaign, other = await desk.plan(rate=10), str(UUID(int=5))
    await desk.do("PATCH", f"/{campaign}", {"name": "December", "segment_id": other})
    await give(desk, "launch", campaign)
    await desk.do("PATCH", f"/{campaign}", {"rate": None})
    planned, changed, _, slowed = await recorded(desk)

    assert (planned.action, json.loads(planned.detail)) == (
        *("campaign.plan", {**PLAN, "name": "November", "rate": 10.0}),
    )
    assert (changed.action, json.loads(changed.detail)) == (
        "campaign.change",
        {
            "before": {"name": "November", "segment_id": str(SEGMENT)},
            "after": {"name": "December", "segment_id": other},
        },
    )
    assert (slowed.action, json.loads(slowed.detail)) == (
        *("campaign.change_rate", {"before": 10.0, "rate": None}),
    )


async def recorded(desk: Desk) -> Sequence[Row[Any]]:
    """What was audited, in order; and that nobody has touched it."""
    database = desk.host.databases["campaigns"]
    async with database.across(write=False) as connection:
        entries = table(database.metadata, "audit")
        rows = (await connection.execute(select(entries).order_by(entries.c.number))).all()
        (chain,) = await audit.check(connection, database.metadata)
    assert chain.broken_at is None
    return rows


async def test_its_counts_are_deliverys(desk: Desk) -> None:
    campaign = await desk.plan()
    counts = delivery.Counts(audience=9, pending=3, sent=6, delivered=5, bounced=1, opened=2)
    async with desk.module("delivery") as office:
        office.tx.publish(
            delivery.SendProgressed(
                send_id=send_of(UUID(campaign)),
                source=f"campaign:{campaign}",
                occasion="launch",
                status="open",
                sealed=True,
                counts=counts,
                problem=None,
                at=NOON,
            )
        )
    await desk.settle()
    status = await desk.status(campaign)
    assert status["counts"] == msgspec.to_builtins(counts)
    assert Counts.__struct_fields__ == delivery.Counts.__struct_fields__


async def test_progress_is_the_status_at_once_and_whenever_it_changes_until_it_is_over(
    ready: Desk,
) -> None:
    campaign = await ready.plan()
    path = f"/campaigns/v1/campaigns/{campaign}/progress"
    async with listening(ready, path) as stream:  # type: ignore[arg-type]

        async def see(status: str) -> dict[str, Any]:
            """The first view with that status, whatever else changes before."""
            while True:
                event = await stream.event()
                assert event is not None, f"It ended before it was {status}."
                view: dict[str, Any] = json.loads(event["data"])
                if view["status"] == status:
                    return view

        await see("draft")
        await give(ready, "launch", campaign)
        await see("launching")
        await ready.settle()
        await see("sending")
        await ready.deliver()
        await ready.settle()
        assert await see("completed") == await ready.status(campaign)
        assert await stream.event() is None
        assert stream.headers["content-type"].startswith("text/event-stream")


async def test_a_peer_of_today_understands_yesterdays_status(desk: Desk) -> None:
    """Views travel between versions: what has come since has a default."""
    status = await desk.status(await desk.plan())
    del status["remark"]
    assert msgspec.convert(status, CampaignStatus).remark is None
