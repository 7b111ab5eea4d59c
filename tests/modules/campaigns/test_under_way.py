"""Whatever is ordered, and whatever happens, in the middle of a launch. On both databases."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest

from martech.kernel.clock import TestClock
from martech.kernel.errors import NotFound
from martech.modules.campaigns import jobs
from martech.modules.campaigns.domain import send_of
from martech.modules.campaigns.domain.steering import Advance
from martech.modules.content.contract import Content
from martech.modules.delivery.contract import Delivery
from martech.modules.personalization.contract import Personalization
from tests.modules.campaigns.conftest import SEGMENT, Desk
from tests.serving import TENANTS

pytestmark = pytest.mark.anyio


class Interrupted:
    """Delivery, and something that happens as soon as it has answered a question for the first
    time."""

    def __init__(self, delivery: object, question: str, then: Callable[[], Awaitable[object]]):
        self._delivery, self._question, self._then = delivery, question, then
        self._happened = False

    def __getattr__(self, name: str) -> Callable[..., Awaitable[object]]:
        async def ask(*args: object, **kwargs: object) -> object:
            answer = await getattr(self._delivery, name)(*args, **kwargs)
            if name == self._question and not self._happened:
                self._happened = True
                await self._then()
            return answer

        return ask


async def interrupted(desk: Desk, question: str, then: Callable[[], Awaitable[object]]) -> str:
    """A campaign in whose launch *then* happened behind delivery's first answer to *question*, and
    what came of it."""
    campaign = await desk.plan()
    await desk.order(campaign, "launch")
    await advance(desk, campaign, question, then)
    await desk.settle()
    return campaign


async def advance(
    desk: Desk, campaign: str, question: str, then: Callable[[], Awaitable[object]]
) -> None:
    """As a worker does who holds no lease and knows of no other."""
    tenant = TENANTS["acme"]
    delivery = Interrupted(desk.host.port(Delivery, tenant), question, then)
    ports = [desk.host.port(port, tenant) for port in (Content, Personalization)]
    command = Advance(campaign_id=UUID(campaign))
    await jobs.advance.run(command, lambda: desk.module("campaigns"), *ports, delivery)


QUESTIONS = ["open_send", "add_recipients", "seal_send"]


@pytest.mark.parametrize("question", QUESTIONS)
async def test_a_pause_is_obeyed_and_resumed_wherever_the_launch_is(
    ready: Desk, question: str
) -> None:
    campaign = ""

    async def pause() -> None:
        nonlocal campaign
        campaign = (await ready.do("GET", ""))["data"][0]["id"]
        assert await ready.order(campaign, "pause") == "paused"

    await interrupted(ready, question, pause)
    await ready.deliver()
    await ready.settle()
    paused = await ready.status(campaign)
    sent = paused["counts"]["delivered"]
    resumed = await ready.order(campaign, "resume")
    await ready.settle()
    await ready.deliver()
    await ready.settle()
    done = await ready.status(campaign)

    assert (paused["status"], sent) == ("paused", 0)
    assert resumed == ("sending" if question == "seal_send" else "launching")
    assert (done["status"], done["counts"]["delivered"]) == ("completed", 2500)
    assert (await ready.asked(campaign)).count("resume") == 1


@pytest.mark.parametrize("question", QUESTIONS)
async def test_a_cancellation_is_final_wherever_the_launch_is(ready: Desk, question: str) -> None:
    campaign = ""

    async def cancel() -> None:
        nonlocal campaign
        campaign = (await ready.do("GET", ""))["data"][0]["id"]
        assert await ready.order(campaign, "cancel") == "cancelled"

    await interrupted(ready, question, cancel)
    await ready.deliver()
    await ready.settle()

    status = await ready.status(campaign)
    assert (status["status"], status["counts"]["delivered"]) == ("cancelled", 0)
    assert (await ready.asked(campaign))[-1] == "cancel"
    assert await ready.told("campaign_completed") == []


async def test_what_is_cancelled_or_paused_before_it_was_opened_is_never_opened(
    ready: Desk,
) -> None:
    for order in ("cancel", "pause"):
        campaign = await ready.plan()
        await ready.order(campaign, "launch")
        await ready.order(campaign, order)
        await ready.settle()
        with pytest.raises(NotFound):
            await ready.asked(campaign)


async def test_a_worker_that_slept_through_a_cancellation_opens_nothing_for_long(
    ready: Desk,
) -> None:
    """It was about to open the send when the campaign was cancelled and all was settled."""
    campaign = await ready.plan()
    await ready.order(campaign, "launch")

    class Asleep(Interrupted):
        def __getattr__(self, name: str) -> Callable[..., Awaitable[object]]:
            async def ask(*args: object, **kwargs: object) -> object:
                if name == "open_send":
                    await self._then()
                return await getattr(self._delivery, name)(*args, **kwargs)

            return ask

    async def meanwhile() -> None:
        await ready.order(campaign, "cancel")
        await ready.settle()

    tenant = TENANTS["acme"]
    delivery = Asleep(ready.host.port(Delivery, tenant), "", meanwhile)
    ports = [ready.host.port(port, tenant) for port in (Content, Personalization)]
    command = Advance(campaign_id=UUID(campaign))
    await jobs.advance.run(command, lambda: ready.module("campaigns"), *ports, delivery)
    async with ready.module("delivery") as office:
        await office.trouble(send_of(UUID(campaign)), None)  # sooner or later it tells of it
    await ready.settle()
    assert await ready.asked(campaign) == ["open", "trouble", "cancel"]


async def test_a_launch_that_was_cut_off_goes_on_where_it_was(
    ready: Desk, clock: TestClock
) -> None:
    campaign = await ready.plan()
    await ready.order(campaign, "launch")

    async def cut_off() -> None:
        raise ConnectionError("killed between the question and the note of its answer")

    with pytest.raises(ConnectionError):
        await advance(ready, campaign, "add_recipients", cut_off)
    clock.move(timedelta(minutes=1))
    await ready.settle()

    assert await ready.asked(campaign) == [
        *("open", "add 1000", "add 1000", "add 1000", "add 500", "seal")
    ]
    status = await ready.status(campaign)
    assert (status["status"], status["counts"]["audience"]) == ("sending", 2500)


async def test_ten_workers_at_once_launch_it_once(ready: Desk) -> None:
    async def nothing() -> None: ...

    campaign = await ready.plan()
    await ready.order(campaign, "launch")
    await asyncio.gather(*(advance(ready, campaign, "", nothing) for _ in range(10)))
    await ready.settle()
    await ready.deliver()
    await ready.settle()

    status = await ready.status(campaign)
    assert (status["status"], status["counts"]["delivered"]) == ("completed", 2500)
    assert len(await ready.told("campaign_launched")) == 1


async def test_a_send_that_is_cancelled_in_delivery_ends_the_campaign(ready: Desk) -> None:
    async def stop() -> None:
        (campaign,) = (await ready.do("GET", ""))["data"]
        async with ready.module("delivery") as office:
            await office.cancel_send(UUID(campaign["send_id"]))

    during = await interrupted(ready, "add_recipients", stop)
    assert (await ready.status(during))["status"] == "cancelled"


async def test_a_send_that_is_paused_in_delivery_is_said_and_resumed(ready: Desk) -> None:
    campaign = await ready.plan()
    await ready.order(campaign, "launch")
    await ready.settle()
    async with ready.module("delivery") as office:
        await office.pause_send(send_of(UUID(campaign)))
    await ready.settle()
    held = await ready.status(campaign)
    await ready.order(campaign, "resume")
    await ready.settle()
    going = await ready.status(campaign)

    assert (held["status"], "paused in delivery" in held["problem"]) == ("sending", True)
    assert (going["status"], going["problem"]) == ("sending", None)


@pytest.mark.parametrize("rate", [5, None])
async def test_another_rate_resumes_nothing_that_is_paused_in_delivery(
    ready: Desk, rate: float | None
) -> None:
    """It pauses a send that is refused again and again, for a person to look at."""
    campaign = await ready.plan(rate=10)
    await ready.order(campaign, "launch")
    await ready.settle()
    async with ready.module("delivery") as office:
        await office.pause_send(send_of(UUID(campaign)))
    await ready.settle()
    await ready.do("PATCH", f"/{campaign}", {"rate": rate})
    await ready.settle()
    asked = await ready.asked(campaign)
    held = await ready.status(campaign)

    changed = f"rate {None if rate is None else float(rate)}"
    assert asked[asked.index("pause") :] == ["pause", changed]
    assert (held["status"], "paused in delivery" in held["problem"]) == ("sending", True)
    await ready.order(campaign, "resume")
    await ready.settle()
    assert (await ready.asked(campaign))[-1] == "resume"


async def test_what_goes_on_more_slowly_is_slow_before_it_goes_on(ready: Desk) -> None:
    """Whoever is killed between the two leaves nothing behind that goes as fast as it can."""
    campaign = await ready.plan()
    await ready.order(campaign, "launch")
    await ready.settle()
    await ready.order(campaign, "pause")
    await ready.settle()
    await ready.do("PATCH", f"/{campaign}", {"rate": 5})
    await ready.order(campaign, "resume")
    await ready.settle()
    assert (await ready.asked(campaign))[-3:] == ["pause", "rate 5.0", "resume"]


async def test_a_send_that_is_resumed_in_delivery_is_paused_again(ready: Desk) -> None:
    campaign = await ready.plan()
    await ready.order(campaign, "launch")
    await ready.settle()
    await ready.order(campaign, "pause")
    await ready.settle()
    async with ready.module("delivery") as office:
        await office.resume_send(send_of(UUID(campaign)))
    await ready.settle()
    assert (await ready.asked(campaign))[-3:] == ["pause", "resume", "pause"]
    assert (await ready.status(campaign))["status"] == "paused"


async def test_a_cancellation_that_comes_too_late_gives_way_to_what_happened(ready: Desk) -> None:
    campaign = await ready.plan()
    await ready.order(campaign, "launch")
    await ready.settle()
    await ready.deliver()
    assert await ready.order(campaign, "cancel") == "cancelled"
    await ready.settle()
    assert (await ready.status(campaign))["status"] == "completed"
    assert len(await ready.told("campaign_completed")) == 1


async def test_what_keeps_delivery_from_sending_shows_and_goes(ready: Desk) -> None:
    campaign = await ready.plan()
    await ready.order(campaign, "launch")
    await ready.settle()
    problems = []
    for problem in ("The mail server does not answer.", None):
        async with ready.module("delivery") as office:
            await office.trouble(send_of(UUID(campaign)), problem)
        await ready.settle()
        problems.append((await ready.status(campaign))["problem"])
    assert problems == ["The mail server does not answer.", None]


async def test_that_no_mail_has_left_is_said_when_it_is_over_too(ready: Desk) -> None:
    campaign = await ready.plan()
    await ready.order(campaign, "launch")
    await ready.settle()
    send_id = UUID((await ready.do("GET", f"/{campaign}"))["send_id"])
    async with ready.module("delivery") as office:
        await office.trouble(send_id, "Mails are printed to the log.")
    await ready.deliver()
    await ready.settle()
    over = await ready.status(campaign)
    assert (over["status"], over["problem"]) == ("completed", "Mails are printed to the log.")


async def test_a_segment_that_is_deleted_under_way_ends_the_campaign_and_its_send(
    ready: Desk,
) -> None:
    async def lose() -> None:
        async with ready.module("personalization") as crowd:
            await crowd.lose(SEGMENT)

    campaign = await interrupted(ready, "add_recipients", lose)

    status = await ready.status(campaign)
    assert (status["status"], status["problem"]) == ("failed", f"There is no segment {SEGMENT}.")
    assert await ready.asked(campaign) == ["open", "add 1000", "cancel"]
    assert len(await ready.told("campaign_failed")) == 1
