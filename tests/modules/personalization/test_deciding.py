"""The pure decisions: however numbers are kept up, they are those of counting anew."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from martech.modules.personalization.domain.behaviour import EPOCH, Done, values
from martech.modules.personalization.domain.catalog import Catalog, Defined, catalog, definitions
from martech.modules.personalization.domain.conditions import parsed
from martech.modules.personalization.domain.people import Following, Person, due, swept
from martech.modules.personalization.domain.reckoning import (
    LAST,
    Past,
    Place,
    Reading,
    concerned,
    counted,
    countings,
    put,
    settlings,
)
from tests.modules.personalization.oracle import Oracle

PEOPLE = [UUID(int=n) for n in range(1, 5)]
HOUR = 3_600_000_000
BEGIN = datetime(2026, 12, 1, tzinfo=UTC)
PAGE = 3

CONDITIONS: list[dict[str, Any]] = [
    {"event": "E", "at_least": 2, "within": "PT1H"},
    {"event": "E", "at_most": 1, "within": "P1D"},
    {"event": "E", "at_least": 2, "less_than": 4, "within": "P1D"},
    {"event": "E", "sum": "r", "at_least": 10, "within": "P1D"},
    {"event": "E", "sum": "r", "less_than": 10, "within": "PT1H"},
    {"event": "E", "sum": "r", "at_least": 10.5},
    {"event": "E", "at_least": 3, "where": [{"property": "k", "is": "equals", "value": 1}]},
    {"event": "E", "at_most": 0, "within": "P1D", "where": [{"property": "k", "is": "exists"}]},
    {"trait": "x", "is": "equals", "value": "a"},
    {"not": {"all": [{"trait": "x", "is": "exists"}, {"event": "E", "at_least": 1}]}},
]


def everything() -> Catalog:
    stored = [msgspec.json.encode(c) for c in CONDITIONS]
    keys = sorted({key for c in stored for key in definitions(parsed(c))})
    defined = tuple(Defined(n, UUID(int=n), 1, c) for n, c in enumerate(stored))
    return catalog(defined, tuple((key, n) for n, key in enumerate(keys, 1)))


CATALOG = everything()
LAST_MEASURE = max(CATALOG.measures)


class Small:
    """A personalization without a database: rows in a list, people in a dict."""

    def __init__(self) -> None:
        self.now = (BEGIN - EPOCH) // timedelta(microseconds=1)
        self.rows: list[Done] = []
        self.people: dict[UUID, Person] = {}
        self.oracle = Oracle()

    @property
    def moment(self) -> datetime:
        return EPOCH + timedelta(microseconds=self.now)

    def batch(self, news: list[tuple[Any, ...]]) -> None:
        following = Following(CATALOG, self.people, LAST_MEASURE, self.now)
        heard: list[Done] = []
        for kind, *rest in news:
            if kind == "act":
                heard.append(self._act(following, *rest))
            elif kind == "change":
                self._change(following, *rest)
            elif kind == "merge":
                self._merge(following, *rest)
        self.rows += heard
        some = following.finished()  # whose roots those who were merged before follow
        for person in self.people.values():
            if person.kept is not None and self.people[person.kept].kept is not None:
                person.kept = self.people[person.kept].kept
        self.judge(some)

    def expire(self) -> None:
        some = [p for p in self.people.values() if p.wake is not None and p.wake <= self.now]
        for person in some:
            due(person, CATALOG, self.now)
        self.judge(some)

    def judge(self, some: Any) -> None:
        for person in some:
            swept(person, CATALOG)
            self._reckon(person)
            traits = values(person.traits)
            for number in person.asked:
                belongs = CATALOG.segments[number].match(traits, person.tallies)
                (person.inside.add if belongs else person.inside.discard)(number)
            person.asked, person.stale, person.lost = set(), {}, set()
            person.new = person.changed = person.gone = False
            person.wake = person.waking()

    def check(self) -> None:
        for number, condition in enumerate(CONDITIONS):
            inside = {p.id for p in self.people.values() if number in p.inside}
            assert inside == self.oracle.members(condition, self.moment), condition

    def _act(self, following: Following, who: UUID, ago: int, properties: Any) -> Done:
        person = self.oracle.root(who)  # nothing is told of whoever was merged
        at = self.now - ago * HOUR // 2
        self.oracle.act(person, "E", EPOCH + timedelta(microseconds=at), properties)
        number = len(self.oracle.acts)
        done = Done(
            person, "E", at, number.to_bytes(16, "big"), "", msgspec.json.encode(properties)
        )
        following.acted(done)
        return done

    def _change(self, following: Following, who: UUID, value: str | None) -> None:
        person = self.oracle.root(who)
        self.oracle.change(person, {"x": value})
        following.changed(person, {"x": msgspec.Raw(msgspec.json.encode(value))})

    def _merge(self, following: Following, kept: UUID, merged: UUID) -> None:
        one, other = self.oracle.root(kept), self.oracle.root(merged)
        if one != other:
            self.oracle.merge(one, other)
            following.merges(one, other)

    def _reckon(self, person: Person) -> None:
        sources = [p.id for p in self.people.values() if person.id in (p.id, p.kept)]
        for counting in countings(sources, person.lost, CATALOG, self.now):
            self._read(counting)
            counted(person, counting, CATALOG)
        for settling in list(settlings(sources, person, CATALOG, self.now)):
            self._read(settling)
            put(person, settling.number, settling.done())
        person.asked |= concerned(person, CATALOG)

    def _read(self, reading: Reading) -> None:
        while reading.places:
            for source, place in list(reading.places.items()):
                page = self._page(source, place)
                reading.take(source, page[:PAGE], more=len(page) > PAGE)

    def _page(self, source: UUID, place: Place) -> list[Past]:
        mine = [Past(r.at, r.digest, r.properties) for r in self.rows if r.profile_id == source]
        return sorted(past for past in mine if past[:2] > place)[: PAGE + 1]


who = st.sampled_from(PEOPLE)
acts = st.tuples(
    st.just("act"),
    who,
    st.sampled_from([0, 0, 0, 1, 2, 3, 47, 48, 49]),  # half hours ago
    st.fixed_dictionaries(
        {},
        optional={
            "r": st.sampled_from([2.5, 5, 9.99, 0.01, -3.25, "10"]),
            "k": st.sampled_from([1, 2]),
        },
    ).filter(lambda p: p.get("r") != "10"),
)
changes = st.tuples(st.just("change"), who, st.sampled_from(["a", "b", None]))
merges = st.tuples(st.just("merge"), who, who)
batches = st.lists(acts | acts | acts | changes | merges, min_size=1, max_size=6)
passing = st.sampled_from([HOUR // 2, HOUR, HOUR - 1, 1, 23 * HOUR, 24 * HOUR])
steps = st.lists(batches | passing | st.just("expire"), max_size=30)


THRICE_SOMEBODY_ELSE = [
    [("act", PEOPLE[0], 0, {}), ("act", PEOPLE[0], 0, {}), ("merge", PEOPLE[3], PEOPLE[0])],
    [("merge", PEOPLE[1], PEOPLE[0]), ("merge", PEOPLE[2], PEOPLE[0])],
]


@given(steps)
@example(THRICE_SOMEBODY_ELSE)
def test_running_numbers_give_the_answers_of_counting_anew(story: list[Any]) -> None:
    """With late events, merges, refunds and timers that come late, early, twice or not at all."""
    small = Small()
    for step in story:
        if isinstance(step, list):
            small.batch(step)
        elif isinstance(step, int):
            small.now += step
        else:
            small.expire()
    small.expire()
    small.check()


@settings(max_examples=200, deadline=None)
@given(st.lists(acts | acts | changes | merges, max_size=25), st.integers(1, 6))
def test_how_news_is_cut_into_batches_leaves_no_trace(news: list[Any], size: int) -> None:
    one, other = Small(), Small()
    one.batch(news)
    for start in range(0, len(news), size):
        other.batch(news[start : start + size])
    one.check()
    other.check()
    assert {p.id: p.inside for p in one.people.values()} == {
        p.id: p.inside for p in other.people.values()
    }


def test_a_timer_is_set_only_where_time_alone_can_change_an_answer() -> None:
    small = Small()
    wanted = {"r": 0.01, "k": 2}
    small.batch([("act", PEOPLE[0], 0, {})])
    assert small.people[PEOPLE[0]].wake is None
    small.batch([("act", PEOPLE[0], 0, {})])
    assert small.people[PEOPLE[0]].wake == small.now + HOUR
    small.batch([("act", PEOPLE[1], 0, wanted)])
    assert small.people[PEOPLE[1]].wake == small.now + 24 * HOUR  # back to "at most none"
    assert LAST > b"\xff" * 16
