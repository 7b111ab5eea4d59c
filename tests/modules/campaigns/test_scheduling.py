"""A scheduled campaign starts at its time, once, and not at a time that was taken back."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from martech.kernel.clock import TestClock
from martech.kernel.host import Host
from martech.kernel.jobs import Jobs
from martech.kernel.settings import Settings
from tests.modules.campaigns.conftest import MODULES, NOON, Desk

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


async def schedule(desk: Desk, campaign: str, at: datetime) -> dict[str, Any]:
    return await desk.do("POST", f"/{campaign}/schedule", {"at": at.isoformat()})


async def stand(desk: Desk, campaign: str) -> str:
    """Its status when everything that is due was done."""
    await desk.settle()
    status: str = (await desk.status(campaign))["status"]
    return status


async def test_it_starts_at_its_time_and_not_before(ready: Desk, clock: TestClock) -> None:
    campaign = await ready.plan()
    scheduled = await schedule(ready, campaign, NOON + HOUR)
    assert (scheduled["status"], scheduled["scheduled_at"]) == (
        *("scheduled", "2026-11-27T13:00:00Z"),
    )
    clock.move(HOUR - timedelta(microseconds=1))
    assert await stand(ready, campaign) == "scheduled"
    clock.move(timedelta(microseconds=1))
    assert await stand(ready, campaign) == "sending"
    assert (await ready.status(campaign))["launched_at"] == "2026-11-27T13:00:00Z"


@pytest.mark.parametrize("hours", [2, 0.5], ids=["later", "earlier"])
async def test_scheduled_again_it_starts_at_the_new_time_only(
    ready: Desk, clock: TestClock, hours: float
) -> None:
    campaign = await ready.plan()
    await schedule(ready, campaign, NOON + HOUR)
    await schedule(ready, campaign, NOON + hours * HOUR)
    started = []
    for _ in range(12):
        clock.move(HOUR / 4)
        if await stand(ready, campaign) == "sending":
            started.append(clock.now())
    assert started[0] == NOON + hours * HOUR
    assert len(await ready.told("campaign_launched")) == 1


async def test_back_and_forth_it_starts_once(ready: Desk, clock: TestClock) -> None:
    campaign = await ready.plan()
    for hours in (1, 2, 1):
        await schedule(ready, campaign, NOON + hours * HOUR)
    clock.move(HOUR)
    assert await stand(ready, campaign) == "sending"
    clock.move(HOUR)
    assert await stand(ready, campaign) == "sending"
    assert len(await ready.told("campaign_launched")) == 1


async def test_unscheduled_it_does_not_start_and_can_be_scheduled_again(
    ready: Desk, clock: TestClock
) -> None:
    campaign = await ready.plan()
    await schedule(ready, campaign, NOON + HOUR)
    back = await ready.do("POST", f"/{campaign}/unschedule")
    clock.move(HOUR)
    assert await stand(ready, campaign) == "draft"
    await schedule(ready, campaign, clock.now() + HOUR)
    clock.move(HOUR)

    assert (back["status"], back["scheduled_at"]) == ("draft", None)
    assert await stand(ready, campaign) == "sending"


@pytest.mark.parametrize("order", ["cancel", "delete", "launch"])
async def test_what_was_cancelled_deleted_or_launched_meanwhile_is_left_alone(
    ready: Desk, clock: TestClock, order: str
) -> None:
    campaign = await ready.plan()
    await schedule(ready, campaign, NOON + HOUR)
    if order == "delete":
        assert (await ready.call("DELETE", f"/{campaign}")).status_code == 204
    else:
        await ready.order(campaign, order)
    await ready.settle()
    clock.move(HOUR)
    await ready.settle()
    assert len(await ready.told("campaign_launched")) == (order == "launch")


@pytest.mark.parametrize("order", ["launch", "schedule"])
async def test_what_was_missed_by_more_than_an_hour_waits_for_somebody(
    ready: Desk, clock: TestClock, order: str
) -> None:
    campaign = await ready.plan()
    await schedule(ready, campaign, NOON + HOUR)
    clock.move(6 * HOUR)
    missed = await stand(ready, campaign)
    status = await ready.status(campaign)
    told = await ready.told("campaign_launched")
    if order == "launch":
        await ready.order(campaign, "launch")
        again = await ready.status(campaign)
    else:
        await schedule(ready, campaign, clock.now() + HOUR)
        again = await ready.status(campaign)
        clock.move(HOUR)

    assert (missed, status["scheduled_at"], told) == ("draft", None, [])
    assert status["problem"] == (
        "It was to start at 2026-11-27 13:00 UTC, and did not within an hour. Launch it now, or "
        "schedule it for another time."
    )
    assert again["problem"] is None
    assert await stand(ready, campaign) == "sending"


async def test_what_is_late_by_an_hour_starts(ready: Desk, clock: TestClock) -> None:
    campaign = await ready.plan()
    await schedule(ready, campaign, NOON + HOUR)
    clock.move(2 * HOUR)
    assert await stand(ready, campaign) == "sending"


async def test_a_time_with_another_offset_is_that_moment(ready: Desk) -> None:
    campaign = await ready.plan()
    sent = await ready.do("POST", f"/{campaign}/schedule", {"at": "2026-11-27T15:30:00+02:00"})
    assert sent["scheduled_at"] == "2026-11-27T13:30:00Z"


async def test_five_schedulers_start_it_once(ready: Desk, url: str, clock: TestClock) -> None:
    campaign = await ready.plan()
    await schedule(ready, campaign, NOON + HOUR)
    clock.move(HOUR)

    async def scheduler() -> None:
        async with Host(MODULES, Settings(database_url=url), clock=clock) as host:
            await Jobs(host).settle()

    await asyncio.gather(*(scheduler() for _ in range(5)))
    assert await stand(ready, campaign) == "sending"
    assert await ready.asked(campaign) == ["open", "add 1000", "add 1000", "add 500", "seal"]
    assert len(await ready.told("campaign_launched")) == 1
