"""A scheduled campaign starts at its time, once, and not at a time that was taken back."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from martech.kernel.clock import TestClock
from martech.kernel.errors import Unavailable
from martech.kernel.host import Host
from martech.kernel.jobs import Jobs
from martech.kernel.settings import Settings
from tests.modules.campaigns.conftest import MODULES, NOON, Desk
from tests.modules.campaigns.crowd import Crowd
from tests.modules.campaigns.neighbours import ContentShelf, PostOffice

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
    assert status["problem"] == MISSED
    assert again["problem"] is None
    assert await stand(ready, campaign) == "sending"


async def away(*_: object, **__: object) -> None:
    raise Unavailable("It is away.")


MISSED = (
    "It was to start at 2026-11-27 13:00 UTC, and did not within an hour. Launch it now, or "
    "schedule it for another time."
)


@pytest.mark.parametrize(
    ("neighbour", "question", "left"),
    [
        (Crowd, "segment", "draft"),
        (ContentShelf, "published", "draft"),
        (PostOffice, "open_send", "failed"),  # it was told that it had begun
        (Crowd, "members", "failed"),
        (PostOffice, "add_recipients", "failed"),
    ],
)
async def test_what_a_neighbour_kept_from_its_time_waits_for_somebody(
    ready: Desk,
    clock: TestClock,
    monkeypatch: pytest.MonkeyPatch,
    neighbour: type,
    question: str,
    left: str,
) -> None:
    """A mail of Sunday evening is none of Wednesday night, whoever was away."""
    campaign = await ready.plan()
    await schedule(ready, campaign, NOON + HOUR)
    monkeypatch.setattr(neighbour, question, away)
    clock.move(HOUR)
    waiting = await stand(ready, campaign)
    clock.move(HOUR)
    still = await stand(ready, campaign)
    clock.move(60 * HOUR)
    monkeypatch.undo()
    given_up = await stand(ready, campaign)
    status = await ready.status(campaign)

    assert (waiting, still, given_up) == ("launching", "launching", left)
    assert status["problem"] == MISSED
    assert len(await ready.told("campaign_failed")) == (left == "failed")
    await ready.order(campaign, "launch")
    assert await stand(ready, campaign) == "sending"
    await ready.deliver()
    assert await stand(ready, campaign) == "completed"
    async with ready.module("delivery") as office:
        assert len(await office.sent()) == 2500


@pytest.mark.parametrize("orders", [["launch"], ["pause", "resume"]])
async def test_what_somebody_ordered_goes_on_however_late(
    ready: Desk, clock: TestClock, monkeypatch: pytest.MonkeyPatch, orders: list[str]
) -> None:
    campaign = await ready.plan()
    await schedule(ready, campaign, NOON + HOUR)
    monkeypatch.setattr(PostOffice, "open_send", away)
    if "pause" in orders:
        clock.move(HOUR)
        await ready.settle()
    for order in orders:
        await ready.order(campaign, order)
    clock.move(60 * HOUR)
    await ready.settle()
    monkeypatch.undo()
    clock.move(HOUR)
    assert await stand(ready, campaign) == "sending"


async def test_what_has_reached_somebody_in_time_goes_on_however_late(
    ready: Desk, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = await ready.plan()
    await schedule(ready, campaign, NOON + HOUR)
    members, asked = Crowd.members, 0

    async def once(self: Crowd, segment_id: UUID, **page: Any) -> Any:
        nonlocal asked
        asked += 1
        return await (members if asked == 1 else away)(self, segment_id, **page)

    monkeypatch.setattr(Crowd, "members", once)
    clock.move(HOUR)
    await ready.settle()
    monkeypatch.undo()
    clock.move(60 * HOUR)
    assert await stand(ready, campaign) == "sending"
    assert (await ready.asked(campaign)).count("add 1000") == 2


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
