"""A campaign and a delivery, between which everything may come late, twice or not at all."""

from typing import Literal
from uuid import UUID

from martech.kernel.errors import Conflict
from martech.modules.campaigns.contract import Status
from martech.modules.campaigns.domain import states, steering
from martech.modules.campaigns.domain.states import Order
from martech.modules.campaigns.domain.steering import Outcome, Standing, Step

DRAFT = Standing(
    campaign_id=UUID(int=1),
    name="November",
    segment_id=UUID(int=2),
    content_id=UUID(int=3),
    content_version=None,
    rate=None,
    due=None,
    status="draft",
    launch=0,
    stage="new",
    segment_version=None,
    page=None,
    began=None,
    ended=None,
    ordered=0,
    settled=0,
    going=0,
)

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
        if self.send in turns.get(step, {}):
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
