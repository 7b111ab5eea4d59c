"""A campaign from draft to done, among its neighbours. On both databases."""

from datetime import timedelta
from uuid import UUID

import pytest

from martech.kernel.clock import TestClock
from martech.modules.campaigns.domain import send_of
from martech.modules.campaigns.domain.steering import Advance
from tests.modules.campaigns.conftest import CONTENT, SEGMENT, Desk

pytestmark = pytest.mark.anyio


async def test_a_campaign_is_launched_sent_and_completed(ready: Desk) -> None:
    campaign = await ready.plan(rate=50)

    assert await ready.order(campaign, "launch") == "launching"
    await ready.settle()
    sending = await ready.status(campaign)
    await ready.deliver(1000, opens=400)
    await ready.settle()
    halfway = await ready.status(campaign)
    await ready.deliver()
    await ready.settle()
    done = await ready.status(campaign)

    assert await ready.asked(campaign) == [
        *("open", "add 1000", "add 1000", "add 500"),
        *("seal", "complete"),
    ]
    assert (sending["status"], sending["expected"], sending["sealed"]) == ("sending", 2500, True)
    assert (sending["counts"]["pending"], sending["progress"]) == (2500, 0.0)
    assert (halfway["status"], halfway["counts"]["delivered"], halfway["progress"]) == (
        *("sending", 1000),
        0.4,
    )
    assert halfway["rates"] == {
        "delivered": 1.0,
        "bounced": 0.0,
        "opened": 0.4,
        "clicked": 0.0,
        "unsubscribed": 0.0,
    }
    assert (done["status"], done["progress"], done["problem"]) == ("completed", 1.0, None)
    assert done["launched_at"] == done["completed_at"] == "2026-11-27T12:00:00Z"
    shown = await ready.do("GET", f"/{campaign}")
    assert (shown["content_version"], shown["status"]) == (1, "completed")


async def test_it_is_told_once_each_that_it_was_launched_and_completed(ready: Desk) -> None:
    campaign = await ready.plan()
    await ready.order(campaign, "launch")
    await ready.settle()
    await ready.deliver()
    await ready.settle()
    async with ready.module("campaigns") as service:
        service.tx.enqueue(Advance(campaign_id=UUID(campaign)))
    async with ready.module("delivery") as office:
        await office.trouble(send_of(UUID(campaign)), None)  # tells of it once more
    await ready.settle()

    (launched,) = await ready.told("campaign_launched")
    (completed,) = await ready.told("campaign_completed")
    assert launched == {
        "campaign_id": campaign,
        "name": "November",
        "segment_id": str(SEGMENT),
        "content_id": str(CONTENT),
        "content_version": 1,
        "at": "2026-11-27T12:00:00Z",
    }
    assert (completed["audience"], completed["delivered"]) == (2500, 2500)
    assert await ready.told("campaign_failed") == []


async def test_the_version_is_the_one_that_was_published_at_the_launch(ready: Desk) -> None:
    await ready.publish(3)
    campaign = await ready.plan()
    await ready.order(campaign, "launch")
    await ready.settle()
    await ready.publish(4)
    await ready.order(campaign, "pause")
    await ready.order(campaign, "resume")
    await ready.settle()

    async with ready.module("delivery") as office:
        send = await office.send(send_of(UUID(campaign)))
    assert (send.content_version, send.source, send.occasion, send.name) == (
        *(3, f"campaign:{campaign}"),
        *("launch", "November"),
    )


@pytest.mark.parametrize("missing", ["segment", "content"])
async def test_without_its_segment_or_content_it_fails_and_says_why(
    desk: Desk, missing: str
) -> None:
    if missing == "segment":
        await desk.publish()
    else:
        await desk.gather(range(3))
    campaign = await desk.plan()
    await desk.order(campaign, "launch")
    await desk.settle()

    status = await desk.status(campaign)
    (told,) = await desk.told("campaign_failed")
    assert (status["status"], missing in status["problem"]) == ("failed", True)
    assert (told["campaign_id"], told["reason"]) == (campaign, status["problem"])
    assert await desk.told("campaign_launched") == []


async def test_somebody_elses_segment_is_no_segment(ready: Desk) -> None:
    campaign = await ready.plan(tenant="globex")
    await ready.do("POST", f"/{campaign}/launch", tenant="globex")
    await ready.settle()
    status = await ready.do("GET", f"/{campaign}/status", tenant="globex")
    assert status["status"] == "failed"
    assert status["problem"] == f"There is no segment {SEGMENT}."


async def test_a_segment_that_is_being_computed_is_waited_for_and_that_is_said(
    desk: Desk, clock: TestClock
) -> None:
    await desk.publish()
    await desk.gather(range(3), ready=False)
    campaign = await desk.plan()
    await desk.order(campaign, "launch")
    await desk.settle()
    waiting = await desk.status(campaign)
    await desk.gather([], ready=True)
    clock.move(timedelta(seconds=10))
    await desk.settle()
    going = await desk.status(campaign)

    assert (waiting["status"], waiting["counts"]["audience"]) == ("launching", 0)
    assert "being computed" in waiting["problem"]
    assert (going["status"], going["counts"]["audience"], going["problem"]) == ("sending", 3, None)


async def test_an_empty_segment_is_completed_at_once_and_that_is_said(ready: Desk) -> None:
    await ready.gather([], segment=UUID(int=5))
    campaign = await ready.plan(segment_id=str(UUID(int=5)))
    await ready.order(campaign, "launch")
    await ready.settle()
    status = await ready.status(campaign)
    assert (status["status"], status["counts"]["audience"]) == ("completed", 0)
    assert status["remark"].startswith("The segment had nobody in it")
