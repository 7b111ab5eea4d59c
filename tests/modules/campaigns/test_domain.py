"""Whatever is ordered, told and done, in whatever order, a campaign stands in a legal state."""

from datetime import UTC, datetime, timedelta
from typing import get_args
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from martech.kernel.errors import Conflict, Invalid
from martech.modules.campaigns import domain
from martech.modules.campaigns.contract import Status
from martech.modules.campaigns.domain import states, steering
from martech.modules.campaigns.domain.states import Fact, Order
from martech.modules.campaigns.domain.steering import Outcome
from tests.modules.campaigns.world import DRAFT, World

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
STATUSES: tuple[Status, ...] = get_args(Status)
orders = st.sampled_from(get_args(Order))
facts = st.sampled_from(get_args(Fact))


@given(st.lists(orders | facts, max_size=40))
def test_every_sequence_of_orders_and_facts_ends_in_a_legal_state(
    steps: list[Order | Fact],
) -> None:
    status: Status = "draft"
    for step in steps:
        before = status
        if step in get_args(Fact):
            status = states.learn(step, status)  # type: ignore[arg-type]
        elif status in states.ORDERS[step]:  # type: ignore[index]
            status = states.obey(step, status)  # type: ignore[arg-type]
        assert status in STATUSES
        if before in ("completed", "cancelled"):
            assert status == before or (before, status) == ("cancelled", "completed")


def test_what_is_refused_says_what_can_be_done() -> None:
    for order, allowed in states.ORDERS.items():
        for status in set(STATUSES) - allowed.keys():
            with pytest.raises(Conflict, match=rf"{status} cannot be .*\. [A-Z].*(it|campaign)"):
                states.obey(order, status)


def test_what_is_paused_goes_on_with_what_it_was_at() -> None:
    assert states.obey("resume", "paused") == "launching"
    assert states.obey("resume", "paused", sealed=True) == "sending"


MOVES = (
    *("a job sets out", "it comes back", "a later one comes back", "it is lost"),
    *("all is sent", "we hear", "paused there", "cancelled there", "the segment is deleted"),
    *("pages end elsewhere", "a merge"),
)
STEERING: tuple[Order, ...] = ("pause", "resume", "change_rate", "cancel")
OFTEN = (*MOVES[:2] * 8, "we hear", "we hear", "all is sent", "pause", "resume", "resume")
SELDOM = (*MOVES, *STEERING, "launch", "launch", "change", "schedule")
story = st.lists(st.sampled_from(OFTEN) | st.sampled_from(OFTEN + SELDOM), max_size=60)


def run(steps: list[str], people: int) -> World:
    world = World(people)
    for step in steps:
        if step in MOVES:
            world.meet(step)
        else:
            world.order(step)  # type: ignore[arg-type]
    return world


@settings.get_profile("thorough")
@given(story, st.integers(1, 3))
def test_delivery_ends_where_the_orders_want_it_whatever_comes_late(
    steps: list[str], people: int
) -> None:
    world = run(["launch", *steps], people)
    world.rest()
    world.check()


RUNS = ("it runs",) * 12
quiet = st.lists(
    st.sampled_from((*RUNS, "it is lost", "all is sent", "pause", "resume", "resume"))
    | st.sampled_from(RUNS + STEERING + ("the segment is deleted", *MOVES[-2:])),
    max_size=60,
)


@settings.get_profile("thorough")
@given(quiet, st.integers(1, 3))
def test_orders_are_carried_out_though_delivery_tells_nothing(
    steps: list[str], people: int
) -> None:
    """One worker at a time, as leases have it; and every order falls into the middle of a step."""
    world = run(["launch", "a job sets out"], people)
    for step in steps:
        if step in STEERING:
            world.order(step)  # type: ignore[arg-type]
        elif step in ("all is sent", "the segment is deleted", *MOVES[-2:]):
            world.meet(step)
        else:
            world.meet("it comes back" if step == "it runs" else step)
            world.meet("a job sets out")
        world.news = [news for news in world.news if news == "completed"]
    while world.out or steering.next_step(world.now):
        world.meet("it comes back")
        world.meet("a job sets out" if steering.next_step(world.now) else "")
    world.news = [news for news in world.news if news == "completed"]
    world.rest()
    world.check()


@pytest.mark.parametrize("order", STEERING)
def test_what_was_opened_before_anybody_noted_it_is_steered_too(order: Order) -> None:
    world = run(["launch", "a job sets out", "it comes back", "a job sets out"], people=1)
    world.order(order)
    world.meet("it is lost")
    assert (world.now.stage, world.send) == ("fixed", "open")
    world.news.clear()
    world.rest()
    world.check()


def test_what_delivery_has_sealed_is_read_though_nobody_here_remembers() -> None:
    """As after a restored backup: to ask for the next page for ever would help nobody."""
    opened = steering.obey(DRAFT, "launch")._replace(stage="opened", page="2", settled=1)
    sealed = steering.after(opened, opened, steering.Sealed())
    assert (sealed.stage, sealed.status) == ("sealed", "sending")
    read_on = opened._replace(page="3")
    assert steering.after(read_on, opened, steering.Sealed()) == read_on


@pytest.mark.parametrize(
    "outcome",
    [
        steering.Fixed(1, 1),
        steering.Opened(going=True),
        steering.Handed(None),
        steering.Lost(),
        steering.Sealed(),
        steering.Steered(),
        steering.Stopped(),
        steering.Failed("There is no such segment."),
    ],
)
@pytest.mark.parametrize("stage", get_args(steering.Stage))
def test_what_comes_back_from_a_launch_that_failed_changes_nothing_of_the_next(
    outcome: Outcome, stage: steering.Stage
) -> None:
    before = steering.obey(DRAFT, "launch")._replace(stage=stage)
    failed = before._replace(status="failed", settled=before.ordered)
    again = steering.obey(failed, "launch")._replace(stage=stage)
    assert steering.after(again, before, outcome) == again


def test_what_was_cancelled_before_its_content_was_fixed_is_not_launched() -> None:
    launching = steering.obey(DRAFT, "launch")
    cancelled = steering.obey(launching, "cancel")
    assert steering.after(cancelled, launching, steering.Fixed(1, 1)) == cancelled


def test_a_job_that_sleeps_through_a_pause_and_resumes_is_put_right() -> None:
    world = run(["launch"], people=2)
    world.rest()
    world.order("pause")
    world.rest()
    world.order("resume")
    world.meet("a job sets out")
    world.order("pause")
    world.meet("a job sets out")
    world.meet("a later one comes back")
    world.meet("it comes back")
    assert (world.now.status, world.send) == ("paused", "open"), "the sleeper had the last word"
    world.rest()
    assert (world.now.status, world.send) == ("paused", "paused")


def test_what_is_paused_there_goes_on_by_an_order_to_go_on_alone() -> None:
    world = run(["launch"], people=2)
    world.rest()
    world.meet("paused there")
    world.order("change_rate")
    world.rest()
    assert (world.now.status, world.send) == ("sending", "paused")
    world.order("resume")
    world.order("change_rate")
    world.rest()
    assert (world.now.status, world.send) == ("sending", "open")


def test_a_source_names_its_campaign() -> None:
    campaign = uuid4()
    assert domain.campaign_of(domain.source_of(campaign)) == campaign
    for other in ("journey:1", "campaign:", "campaign:x", f"campaigns:{campaign}", ""):
        assert domain.campaign_of(other) is None


def test_a_campaign_is_scheduled_for_a_time_to_come() -> None:
    assert domain.moment(NOON + timedelta(seconds=1), NOON) == NOON + timedelta(seconds=1)
    for at in (NOON, NOON - timedelta(days=1), datetime.min.replace(tzinfo=UTC)):
        with pytest.raises(Invalid, match="is over"):
            domain.moment(at, NOON)
    with pytest.raises(Invalid, match="days ahead"):
        domain.moment(datetime.max.replace(tzinfo=UTC), NOON)
