"""Whatever is ordered, told and done, in whatever order, a campaign stands in a legal state."""

from datetime import UTC, datetime, timedelta
from typing import Literal, get_args
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from martech.kernel.errors import Conflict, Invalid
from martech.modules.campaigns import domain
from martech.modules.campaigns.contract import Status
from martech.modules.campaigns.domain import states, steering
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
    launch=0,
    stage="new",
    segment_version=None,
    page=None,
    began=None,
    ended=None,
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


SendStatus = Literal["open", "paused", "completed", "cancelled"]
Sent = SendStatus | Literal["none"]


class World:
    """A campaign and a delivery, between which everything may come late, twice or not at all."""

    def __init__(self, people: int) -> None:
        self.now = DRAFT
        self.people = people
        self.whose = {person: 10 * person for person in range(people)}
        """By which id each of them is in the segment; merges give them smaller ones."""

        self.turns = dict.fromkeys(self.whose.values(), 1)
        """When that id came to the segment."""

        self.order_of_pages = 0
        self.send: Sent = "none"
        self.sealed = self.gone = False
        self.given = set[int]()
        """The people who are with delivery."""

        self.left: list[Sent] = []
        """The sends of launches that failed."""

        self.news: list[SendStatus] = []
        """What delivery has told and nobody has heard."""

        self.out: list[Standing] = []
        """What jobs set out from that have not come back."""

    def order(self, order: Order) -> None:
        if self.now.status not in states.ORDERS[order]:
            return
        if order == "unschedule":
            self.now = self.now._replace(status=states.obey(order, self.now.status))
        elif order != "delete":
            self._obey(order)

    def _obey(self, order: Order) -> None:
        before = self.now
        try:
            self.now = steering.obey(self.now, order)
        except Conflict:
            assert before.status == "failed", "and delivery does not follow yet"
            assert before.settled < before.ordered
        if self.now.launch != before.launch:
            self.left.append(self.send)
            self.send, self.sealed, self.gone = "none", False, False
            self.given.clear()
            self.news.clear()  # what is told of another launch's send is not heard

    def meet(self, move: str) -> None:
        """Something that nobody here ordered."""
        match move:
            case "a job sets out":
                self.out.append(self.now)
            case "it comes back" | "it is lost" if self.out:
                self.come_back(0, lost=move == "it is lost")
            case "a later one comes back" if self.out:
                self.come_back(-1)
            case "all is sent" if self.send == "open" and self.sealed:
                self.turn("completed")
            case "we hear" if self.news:
                self.now = steering.hear(self.now, self.news.pop(0))
            case "paused there" if self.send == "open":
                self.turn("paused")
            case "cancelled there" if self.send in ("open", "paused"):
                self.turn("cancelled")
            case _:
                self._meet_in_the_segment(move)

    def _meet_in_the_segment(self, move: str) -> None:
        match move:
            case "the segment is deleted":
                self.gone = True
            case "pages end elsewhere":
                self.order_of_pages += 1
            case "a merge":
                self._merge()

    def _merge(self) -> None:
        """Whoever would be read last is somebody who would have been read first."""
        gone, kept = max(self.turns), min(self.turns) - 1
        del self.turns[gone]
        self.turns[kept] = max(self.turns.values(), default=1) + 1
        self.whose = {who: kept if id_ == gone else id_ for who, id_ in self.whose.items()}

    def turn(self, send: SendStatus) -> None:
        if self.send != send:
            self.send = send
            self.news.append(send)

    def come_back(self, which: int, *, lost: bool = False) -> None:
        """A job asks delivery, and (unless it is lost) what came of it is written."""
        before = self.out.pop(which)
        step = steering.next_step(before)
        outcome = self._ask(step, before) if step else None
        if outcome is not None and not lost:
            self.now = steering.after(self.now, before, outcome)

    def _ask(self, step: Step, before: Standing) -> Outcome:
        if self.gone and step in ("fix", "page"):
            return steering.Failed("There is no such segment.")
        foreign = before.launch != self.now.launch  # its send is cancelled, or was never opened
        if foreign or (self.send == "cancelled" and step in ("open", "page", "seal")):
            return steering.Stopped()
        match step:
            case "fix":
                return steering.Fixed(version=1, expected=self.people)
            case "open":
                self.turn("open" if self.send == "none" else self.send)
                return steering.Opened(going=self.send == "open")
            case "page":
                return self._hand(before)
        return self._steer(step)

    def _hand(self, before: Standing) -> Outcome:
        """One a page."""
        if self.sealed:
            return steering.Sealed()
        late = before.stage == "late"
        order: list[tuple[int, ...]] = sorted(
            (turn, id_) if late else (id_,) for id_, turn in self.turns.items()
        )
        if before.page is not None:
            ordered, *place = map(int, before.page.split(":"))
            if ordered != self.order_of_pages:
                return steering.Lost()
            order = [one for one in order if one > tuple(place)]
        elif late:
            order = [one for one in order if one[0] > (before.began or 0)]
        position = max(self.turns.values())
        if order:
            self.given |= {who for who, id_ in self.whose.items() if id_ == order[0][-1]}
        if len(order) < 2:
            return steering.Handed(None, position)
        page = ":".join(map(str, (self.order_of_pages, *order[0])))
        return steering.Handed(page, order[0][0] - 1 if late else position)

    def _steer(self, step: Step) -> Outcome:
        if step == "seal":
            self.sealed = True
            return steering.Sealed()
        turns: dict[str, dict[Sent, SendStatus]] = {
            "pause": {"open": "paused"},
            "resume": {"paused": "open"},
            "cancel": {"open": "cancelled", "paused": "cancelled"},
        }
        if self.send in turns[step]:
            self.turn(turns[step][self.send])
        return steering.Steered()

    def rest(self) -> None:
        """Nobody orders anything any more, and everything that is under way arrives."""
        for _ in range(300):
            if self.out:
                self.come_back(0)
            elif steering.next_step(self.now) is not None:
                self.out.append(self.now)
            elif self.news:
                self.now = steering.hear(self.now, self.news.pop(0))
            else:
                return
        raise AssertionError(f"It never comes to rest: {self.now}, {self.send}")

    def check(self) -> None:
        """Where the orders want it."""
        wanted: dict[Status, set[Sent]] = {
            "draft": {"none"},
            "scheduled": {"none"},
            "sending": {"open", "paused"},  # paused by somebody there
            "paused": {"none", "paused"},
            "completed": {"completed"},
            "cancelled": {"none", "cancelled"},
            "failed": {"none", "cancelled"},
        }
        assert self.send in wanted[self.now.status], self.now
        assert set(self.left) <= {"none", "cancelled"}
        if self.now.status in ("sending", "completed"):
            assert self.sealed
            assert self.given == set(range(self.people)), "everybody is in it"


MOVES = (
    *("a job sets out", "it comes back", "a later one comes back", "it is lost"),
    *("all is sent", "we hear", "paused there", "cancelled there", "the segment is deleted"),
    *("pages end elsewhere", "a merge"),
)
STEERING: tuple[Order, ...] = ("pause", "resume", "cancel")
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


@settings(max_examples=1000)
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


@settings(max_examples=1000)
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
