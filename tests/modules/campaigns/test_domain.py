"""Whatever is ordered, told and done, in whatever order, a campaign stands in a legal state."""

from datetime import UTC, datetime, timedelta
from typing import Literal, get_args
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from martech.kernel.errors import Conflict, Invalid
from martech.modules.campaigns import domain
from martech.modules.campaigns.contract import Counts, Status
from martech.modules.campaigns.domain import figures, states, steering
from martech.modules.campaigns.domain.states import Fact, Order
from martech.modules.campaigns.domain.steering import Outcome, Standing, Step

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
DRAFT = Standing(
    campaign_id=UUID(int=1),
    name="November",
    segment_id=UUID(int=2),
    content_id=UUID(int=3),
    content_version=None,
    rate=None,
    status="draft",
    stage="new",
    page=None,
    ordered=0,
    settled=0,
)
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
        if before in states.OVER:
            assert status == before or (before, status) == ("cancelled", "completed")


def test_what_is_refused_says_what_can_be_done() -> None:
    for order, allowed in states.ORDERS.items():
        for status in set(STATUSES) - allowed.keys():
            with pytest.raises(Conflict, match=rf"{status} cannot be .*\. [A-Z].*(it|campaign)"):
                states.obey(order, status)


def test_what_is_paused_goes_on_with_what_it_was_at() -> None:
    assert states.obey("resume", "paused") == "launching"
    assert states.obey("resume", "paused", sealed=True) == "sending"


Sent = Literal["none", "open", "paused", "completed", "cancelled"]


class World:
    """A campaign and a delivery, between which everything may come late, twice or not at all."""

    def __init__(self, people: int) -> None:
        self.now = DRAFT
        self.people = people
        self.send: Sent = "none"
        self.sealed = False
        self.given = set[int]()
        self.asked: list[Standing] = []
        """What jobs set out from that have not come back."""

    def order(self, order: Order) -> None:
        try:
            if order in ("schedule", "unschedule"):
                self.now = self.now._replace(status=states.obey(order, self.now.status))
            elif order not in ("change", "delete"):
                self.now = steering.obey(self.now, order)
        except Conflict:
            return

    def set_out(self) -> None:
        self.asked.append(self.now)

    def come_back(self, *, lost: bool = False) -> None:
        """The oldest job asks delivery, and (unless it is lost) what came of it is written."""
        if not self.asked:
            return
        before = self.asked.pop(0)
        step = steering.next_step(before)
        if step is None:
            return
        outcome = self._ask(step, before)
        if outcome is not None and not lost:
            self.now = steering.after(self.now, before, outcome)

    def _ask(self, step: Step, before: Standing) -> Outcome | None:
        match step:
            case "fix":
                return steering.Fixed(version=1, expected=self.people)
            case "open":
                self.send = "open" if self.send == "none" else self.send
                return steering.Opened()
            case "page" | "seal" if self.send == "cancelled":
                return steering.Stopped()
            case "page":
                return self._hand(before)
            case "seal":
                self.sealed = True
                return steering.Sealed()
        return self._steer(step)

    def _hand(self, before: Standing) -> Outcome | None:
        if self.sealed:
            return None
        place = int(before.page or 0)
        self.given.add(place)
        return steering.Handed(str(place + 1) if place + 1 < self.people else None)

    def _steer(self, step: Step) -> Outcome:
        turns: dict[str, dict[Sent, Sent]] = {
            "pause": {"open": "paused"},
            "resume": {"paused": "open"},
            "cancel": {"open": "cancelled", "paused": "cancelled"},
        }
        self.send = turns[step].get(self.send, self.send)
        return steering.Steered()

    def meet(self, move: str) -> None:
        """Something that nobody here ordered."""
        match move:
            case "a job sets out":
                self.set_out()
            case "it comes back":
                self.come_back()
            case "it is lost":
                self.come_back(lost=True)
            case "all is sent" if self.send == "open" and self.sealed:
                self.send = "completed"
            case "we hear":
                self.now = self._heard()
            case "paused there" if self.send == "open":
                self.send = "paused"
            case "cancelled there" if self.send in ("open", "paused"):
                self.send = "cancelled"

    def check(self) -> None:
        """Where the orders want it."""
        everybody = self.given == set(range(self.people))
        match self.now.status:
            case "draft" | "scheduled":
                assert self.send == "none"
            case "sending":
                assert self.sealed
                assert everybody
                assert self.send in ("open", "paused"), "paused only by somebody there"
            case "paused":
                assert self.send in ("none", "paused")
            case "cancelled":
                assert self.send in ("none", "cancelled")
            case "completed":
                assert self.send == "completed"
                assert everybody
            case _:
                raise AssertionError(f"It is {self.now.status} for ever.")

    def rest(self) -> None:
        """Nobody orders anything any more, and everything that is under way arrives."""
        for _ in range(200):
            while self.asked:
                self.come_back()
            if steering.next_step(self.now) is not None:
                self.set_out()
            elif (heard := self._heard()) != self.now:
                self.now = heard
            else:
                return
        raise AssertionError(f"It never comes to rest: {self.now}, {self.send}")

    def _heard(self) -> Standing:
        return self.now if self.send == "none" else steering.hear(self.now, self.send)


MOVES = (
    *("a job sets out", "it comes back", "it is lost"),
    *("all is sent", "we hear", "paused there", "cancelled there"),
)


@settings(max_examples=500)
@given(st.lists(orders | st.sampled_from(MOVES), max_size=60), st.integers(1, 4))
def test_delivery_ends_where_the_orders_want_it_whatever_comes_late(
    steps: list[str], people: int
) -> None:
    world = World(people)
    for step in steps:
        if step in MOVES:
            world.meet(step)
        else:
            world.order(step)  # type: ignore[arg-type]
    world.rest()
    world.check()


def test_a_job_that_sleeps_through_a_pause_and_resumes_is_put_right() -> None:
    world = World(people=2)
    world.order("launch")
    world.rest()
    world.order("pause")
    world.rest()
    world.order("resume")
    world.set_out()
    world.order("pause")
    world.asked.append(world.now)
    world.asked.reverse()
    world.come_back()
    world.come_back()
    assert (world.now.status, world.send) == ("paused", "open"), "the sleeper had the last word"
    world.rest()
    assert (world.now.status, world.send) == ("paused", "paused")


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


@given(st.builds(Counts, **dict.fromkeys(Counts.__struct_fields__, st.integers(0, 10**6))))
def test_rates_are_of_those_who_could(counts: Counts) -> None:
    rates = figures.rates(counts)
    assert (rates.delivered is None) == (counts.sent == 0)
    assert (rates.opened is None) == (counts.delivered == 0)
    if counts.delivered:
        assert rates.clicked == pytest.approx(counts.clicked / counts.delivered, abs=1e-4)


def test_progress_does_not_reach_the_end_before_the_audience_is_complete() -> None:
    half = Counts(audience=1000, delivered=1000, sent=1000)
    assert figures.progress(half, 2000, "launching", sealed=False) == 0.5
    assert figures.progress(half, 2000, "sending", sealed=True) == 1.0
    unclear = Counts(audience=10, ambiguous=1, deferred=1, pending=3, delivered=5, sent=5)
    assert figures.progress(unclear, 10, "sending", sealed=True) == 0.5
    assert figures.progress(Counts(), None, "draft", sealed=False) == 0.0
    assert figures.progress(Counts(), 0, "completed", sealed=True) == 1.0
