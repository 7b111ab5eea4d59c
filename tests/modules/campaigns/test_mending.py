"""What went wrong is said, and mended: by another order, by an operator, by another launch. On both
databases."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from martech.kernel import migrate, parked
from martech.kernel.clock import TestClock
from martech.kernel.commands import ATTEMPTS
from martech.kernel.errors import Conflict, Error, Invalid
from martech.kernel.jobs.carrier import AWAY
from martech.modules.campaigns.domain import send_of
from martech.modules.campaigns.module import module
from martech.modules.campaigns.tables import campaigns
from tests.modules.campaigns.conftest import CONTENT, SEGMENT, Desk
from tests.modules.campaigns.crowd import Crowd
from tests.modules.campaigns.neighbours import PostOffice
from tests.modules.campaigns.test_under_way import advance, interrupted

pytestmark = pytest.mark.anyio

OTHER = UUID(int=10**6 + 1)
YESTERDAY = UUID(int=999).hex
"""Where the first page ends, as it was written down before the last upgrade."""

ERRORS = (
    (RuntimeError("a column is missing"), "Something went wrong here (RuntimeError)"),
    (Error("The peer answered nonsense."), "The peer answered nonsense."),
)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> pytest.MonkeyPatch:
    """Delivery takes no people: a defect of ours, until it is undone."""

    async def add_recipients(*_: object) -> None:
        raise request.param

    monkeypatch.setattr(PostOffice, "add_recipients", add_recipients)
    return monkeypatch


async def give_up(desk: Desk, clock: TestClock) -> None:
    """Until every attempt has failed."""
    for _ in range(ATTEMPTS):
        await desk.settle()
        clock.move(timedelta(hours=2))
    await desk.settle()


async def lose(desk: Desk) -> None:
    """The segment is deleted."""
    async with desk.module("personalization") as crowd:
        await crowd.lose(SEGMENT)


async def one_page(desk: Desk) -> str:
    """A campaign that is paused as soon as delivery has a page of its people."""

    async def pause() -> None:
        (campaign,) = (await desk.do("GET", ""))["data"]
        await desk.order(campaign["id"], "pause")

    return await interrupted(desk, "add_recipients", pause)


async def forget_the_page(desk: Desk) -> None:
    async with desk.host.databases["campaigns"].across() as connection:
        await connection.execute(update(campaigns).values(page=YESTERDAY))


async def completed(desk: Desk, campaign: str) -> dict[str, Any]:
    await desk.settle()
    await desk.deliver()
    await desk.settle()
    status = await desk.status(campaign)
    assert (status["status"], status["problem"]) == ("completed", None)
    counts: dict[str, Any] = status["counts"]
    return counts


@pytest.mark.parametrize(("broken", "said"), ERRORS, indirect=["broken"])
@pytest.mark.parametrize("cure", ["resume", "retry"])
async def test_what_was_parked_is_said_and_goes_on_when_it_is_asked_for(
    ready: Desk, clock: TestClock, broken: pytest.MonkeyPatch, said: str, cure: str
) -> None:
    campaign = await ready.plan()
    await ready.order(campaign, "launch")
    await give_up(ready, clock)
    (aside,) = await parked.parked(ready.host)
    stuck = await ready.status(campaign)
    broken.undo()
    if cure == "resume":
        assert await ready.order(campaign, "resume") == "launching"
        assert (await ready.status(campaign))["problem"] is None
    else:
        await parked.retry(ready.host, "campaigns", aside.id)

    assert stuck["status"] == "launching"
    assert stuck["problem"].startswith(said)
    assert stuck["problem"].endswith("If this stays, resume the campaign again.")
    assert (await completed(ready, campaign))["delivered"] == 2500
    if cure == "resume":
        await parked.retry(ready.host, "campaigns", aside.id)  # too late, and no harm
        await ready.settle()
    assert await parked.parked(ready.host) == []
    assert (await ready.asked(campaign)).count("add 1000") == 2


async def test_a_cancellation_that_delivery_did_not_follow_is_said(
    ready: Desk, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cancel_send(*_: object) -> None:
        raise RuntimeError

    campaign = await ready.plan()
    await ready.order(campaign, "launch")
    await ready.settle()
    monkeypatch.setattr(PostOffice, "cancel_send", cancel_send)
    await ready.order(campaign, "cancel")
    await give_up(ready, clock)
    going = await ready.status(campaign)
    monkeypatch.undo()
    await ready.order(campaign, "cancel")
    await ready.settle()

    assert (going["status"], going["counts"]["pending"]) == ("cancelled", 2500)
    assert "cancel the campaign again" in going["problem"]
    assert (await ready.asked(campaign))[-1] == "cancel"
    assert (await ready.status(campaign))["problem"] is None


async def test_an_attempt_that_came_further_has_all_its_patience_again(
    ready: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It breaks off after each page, however many there are, and is never parked."""
    members, asked = Crowd.members, 0

    async def every_other(self: Crowd, segment_id: UUID, **page: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked % 2 == 0:
            raise RuntimeError
        return await members(self, segment_id, after=page["after"], limit=10)

    monkeypatch.setattr(Crowd, "members", every_other)
    await ready.gather(range(10 * ATTEMPTS + 10), segment=OTHER)
    campaign = await ready.plan(segment_id=str(OTHER))
    await ready.order(campaign, "launch")
    await ready.settle()  # and the clock stands still

    assert await parked.parked(ready.host) == []
    assert (await completed(ready, campaign))["delivered"] == 10 * ATTEMPTS + 10


async def test_what_failed_for_want_of_its_content_is_launched_again_once_it_is_published(
    desk: Desk,
) -> None:
    await desk.gather(range(3))
    campaign = await desk.plan()
    await desk.order(campaign, "launch")
    await desk.settle()
    refused = await desk.call("POST", f"/{campaign}/resume")
    await desk.publish()
    assert await desk.order(campaign, "launch") == "launching"

    assert refused.json()["detail"] == (
        "What is failed cannot be resumed. Mend what its problem says, and launch it again."
    )
    assert (await completed(desk, campaign))["delivered"] == 3
    assert len(await desk.told("campaign_failed")) == len(await desk.told("campaign_launched")) == 1


@pytest.mark.parametrize("order", ["launch", "schedule"])
async def test_what_failed_is_changed_as_a_draft_and_launched_or_scheduled(
    ready: Desk, clock: TestClock, order: str
) -> None:
    campaign = await ready.plan(content_id=str(OTHER))
    await ready.order(campaign, "launch")
    await ready.settle()
    failed = await ready.status(campaign)
    draft = await ready.do("PATCH", f"/{campaign}", {"content_id": str(CONTENT)})
    if order == "launch":
        await ready.order(campaign, "launch")
    else:
        at = clock.now() + timedelta(hours=1)
        await ready.do("POST", f"/{campaign}/schedule", {"at": at.isoformat()})
        clock.move(timedelta(hours=1))

    assert (failed["status"], "content" in failed["problem"]) == ("failed", True)
    assert (draft["status"], draft["problem"], draft["content_id"]) == ("draft", None, str(CONTENT))
    assert (await completed(ready, campaign))["delivered"] == 2500


async def test_what_failed_half_way_is_launched_again_in_a_send_of_its_own(ready: Desk) -> None:
    """Whom the first reached is the ledger's business: both have its source and occasion."""

    campaign = await interrupted(ready, "add_recipients", lambda: lose(ready))
    first = await ready.do("GET", f"/{campaign}")
    await ready.gather(range(1200), segment=OTHER)
    draft = await ready.do("PATCH", f"/{campaign}", {"segment_id": str(OTHER)})
    await ready.order(campaign, "launch")
    counts = await completed(ready, campaign)

    assert first["status"] == "failed"
    assert draft["send_id"] != first["send_id"]
    assert (await ready.asked(campaign))[-1] == "cancel"
    async with ready.module("delivery") as office:
        one, two = [await office.send(UUID(each["send_id"])) for each in (first, draft)]
    assert (one.status, two.status) == ("cancelled", "completed")
    assert (one.source, one.occasion) == (two.source, two.occasion)
    assert counts["audience"] == 1200


async def test_who_is_picked_in_two_ways_is_not_sent_to(ready: Desk) -> None:
    """The segment means something else on its second page; launched again, it means one thing."""

    async def redefine() -> None:
        async with ready.module("personalization") as crowd:
            await crowd.redefine(SEGMENT)

    campaign = await interrupted(ready, "add_recipients", redefine)
    failed, asked = await ready.status(campaign), await ready.asked(campaign)
    await ready.order(campaign, "launch")
    counts = await completed(ready, campaign)

    assert failed["status"] == "failed"
    assert failed["problem"].startswith("The segment was changed while its people were being read")
    assert asked == ["open", "add 1000", "cancel"]
    assert counts["delivered"] == 2500


async def test_a_launch_waits_until_the_failed_one_is_stopped_in_delivery(
    ready: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cancel_send(*_: object) -> None:
        raise Conflict("Not now.")

    monkeypatch.setattr(PostOffice, "cancel_send", cancel_send)
    campaign = await ready.plan()
    await ready.order(campaign, "launch")
    with pytest.raises(Conflict):
        await advance(ready, campaign, "add_recipients", lambda: lose(ready))
    early = await ready.call("POST", f"/{campaign}/launch")
    monkeypatch.undo()
    await ready.gather(range(5))
    await ready.settle()

    assert (early.status_code, "Try again in a moment" in early.json()["detail"]) == (409, True)
    assert await ready.order(campaign, "launch") == "launching"


async def test_what_an_earlier_launch_left_is_heard_no_more(ready: Desk) -> None:
    campaign = await interrupted(ready, "add_recipients", lambda: lose(ready))
    await ready.gather(range(5))
    await ready.order(campaign, "launch")
    async with ready.module("delivery") as office:
        await office.trouble(send_of(UUID(campaign)), "It is gone.")
    await ready.settle()
    status = await ready.status(campaign)
    assert (status["status"], status["problem"]) == ("sending", None)


async def test_what_every_launch_came_to_is_counted_whenever_it_is_heard(ready: Desk) -> None:
    async def some_leave() -> None:
        await ready.deliver(400)
        await lose(ready)

    campaign = await interrupted(ready, "add_recipients", some_leave)
    failed = (await ready.status(campaign))["counts"]
    first = (await ready.do("GET", f"/{campaign}"))["send_id"]
    await ready.gather(range(5000, 5100), segment=OTHER)
    await ready.do("PATCH", f"/{campaign}", {"segment_id": str(OTHER)})
    draft = (await ready.status(campaign))["counts"]
    await ready.order(campaign, "launch")
    await completed(ready, campaign)
    async with ready.module("delivery") as office:
        await office.opened(UUID(first), 40)
    await ready.settle()
    done = await ready.status(campaign)

    assert (failed["audience"], failed["delivered"]) == (1000, 400)
    assert (draft["audience"], draft["delivered"]) == (400, 400)
    assert (done["counts"]["audience"], done["counts"]["delivered"]) == (500, 500)
    assert (done["counts"]["opened"], done["rates"]["opened"]) == (40, 0.08)
    (told,) = await ready.told("campaign_completed")
    assert (told["audience"], told["delivered"]) == (500, 500)


async def test_only_what_was_never_launched_is_deleted(ready: Desk) -> None:
    never = await ready.plan(content_id=str(OTHER))
    await ready.order(never, "launch")
    await ready.settle()
    half = await interrupted(ready, "add_recipients", lambda: lose(ready))
    await ready.do("PATCH", f"/{half}", {"name": "Once more"})

    assert (await ready.call("DELETE", f"/{never}")).status_code == 204
    refused = await ready.call("DELETE", f"/{half}")
    assert (refused.status_code, "Leave it on record" in refused.json()["detail"]) == (409, True)


async def test_who_no_longer_knows_the_end_of_a_page_is_asked_for_the_first(
    ready: Desk, clock: TestClock
) -> None:
    campaign = await one_page(ready)
    await forget_the_page(ready)
    await ready.order(campaign, "resume")
    await ready.settle()
    clock.move(AWAY)
    counts = await completed(ready, campaign)

    assert counts["audience"] == counts["delivered"] == 2500, "nobody twice"
    assert (await ready.asked(campaign)).count("add 1000") == 3
    assert await parked.parked(ready.host) == []


async def test_a_segment_that_denies_its_own_pages_is_not_asked_in_circles(
    ready: Desk, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    members, asked = Crowd.members, 0

    async def deny(self: Crowd, segment_id: UUID, **page: Any) -> Any:
        nonlocal asked
        asked += 1
        if page["after"] is not None:
            raise Invalid("This is no page's `next`.", field="after")
        return await members(self, segment_id, **page)

    monkeypatch.setattr(Crowd, "members", deny)
    campaign = await ready.plan()
    await ready.order(campaign, "launch")
    await ready.settle()  # and the clock stands still
    monkeypatch.undo()
    clock.move(AWAY)

    assert asked == 2
    assert (await completed(ready, campaign))["delivered"] == 2500


async def test_a_launch_goes_on_at_once_after_an_upgrade(ready: Desk, url: str) -> None:
    campaign = await one_page(ready)
    await migrate.downgrade(module, url, revision="0001")
    await forget_the_page(ready)
    await migrate.upgrade(module, url)
    await ready.order(campaign, "resume")

    assert (await completed(ready, campaign))["delivered"] == 2500
    assert (await ready.asked(campaign)).count("add 1000") == 3
