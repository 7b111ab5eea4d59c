"""When somebody who fails is asked no more, and when again.

The cases are those that the state machines of resilience4j and Polly are tested on, in our words.
"""

from itertools import repeat

import pytest

from martech.kernel.resilience import Breaker, Budget, Call, State


class Hand:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def told(story: str, hand: Hand | None = None) -> Breaker:
    """A breaker after *story*: ``+`` a call goes well, ``-`` fails, ``~`` is broken off by us,
    ``x`` is refused; a digit is so many seconds. Of five calls half must fail; then it rests for
    5 s and makes 4 probes."""
    hand = hand or Hand()
    breaker = Breaker(window=10, memory=20.0, least=5, rest=5.0, probes=4, clock=hand)
    for word in story.replace(" ", ""):
        if word.isdigit():
            hand.now += int(word)
            continue
        call = breaker.enter()
        assert (call is None) == (word == "x"), f"{word} of {story} in {breaker.state}"
        if call:
            {"+": call.succeeded, "-": call.failed, "~": call.left}[word]()
    return breaker


STORIES: list[tuple[str, str, State]] = [
    ("nothing was asked", "", "closed"),
    ("it goes well", "+++++ +++++ +++++", "closed"),
    ("a few failures say nothing yet", "----", "closed"),
    ("enough have failed", "-----", "open"),
    ("the last of enough goes well, and still most have failed", "---++", "open"),
    ("exactly half", "+-+-+-", "open"),
    ("less than half", "++-+- +++-", "closed"),
    ("what we broke off counts for nothing", "---- ~~~~~~", "closed"),
    ("old calls leave the window", "+++++ +++++ ----", "closed"),
    ("until the window holds enough failures", "+++++ +++++ -----", "open"),
    ("failures are forgotten in time", "---- 9 9 3 -", "closed"),
    ("those within memory are not", "---- 9 9 -", "open"),
    ("open refuses", "----- xxx", "open"),
    ("open refuses until it has rested", "----- 4 x", "open"),
    ("then it lets probes through", "----- 5 +", "half-open"),
    ("all probes go well", "----- 5 ++++", "closed"),
    ("half of the probes fail", "----- 5 ++--", "open"),
    ("less than half of the probes fail", "----- 5 +++-", "closed"),
    ("the verdict waits for the last probe", "----- 5 ---", "half-open"),
    ("all probes fail, and it rests again", "----- 5 ---- x 4 x", "open"),
    ("and probes again", "----- 5 ---- 5 ++++", "closed"),
    ("a probe that we broke off is made again", "----- 5 ~~ ++++", "closed"),
    ("who recovered begins with a clean sheet", "----- 5 ++++ ----", "closed"),
    ("and is broken anew by enough failures", "----- 5 ++++ -----", "open"),
]


@pytest.mark.parametrize(
    ("story", "state"), [row[1:] for row in STORIES], ids=[row[0] for row in STORIES]
)
def test_what_was_seen_decides(story: str, state: State) -> None:
    assert told(story).state == state


def entered(breaker: Breaker) -> Call:
    call = breaker.enter()
    assert call is not None
    return call


def test_only_so_many_probes_are_under_way_at_once() -> None:
    breaker = told("----- 5")
    probes = [entered(breaker) for _ in range(4)]
    assert breaker.enter() is None
    probes[0].left()
    probes[0] = entered(breaker)
    assert breaker.enter() is None
    for probe in probes:
        probe.succeeded()
    assert breaker.state == "closed"


def test_probes_that_have_ended_take_no_new_place() -> None:
    breaker = told("----- 5 ++")
    waiting = [entered(breaker), entered(breaker)]
    assert breaker.enter() is None
    for probe in waiting:
        probe.succeeded()
    assert breaker.state == "closed"


@pytest.mark.parametrize("late", ["succeeded", "failed", "left"])
def test_what_began_before_it_opened_says_nothing_of_the_probes(late: str) -> None:
    hand = Hand()
    breaker = told("----", hand)
    slow = [entered(breaker) for _ in range(4)]
    entered(breaker).failed()
    assert breaker.state == "open"
    hand.now += 5
    probe = entered(breaker)
    for call in slow:
        getattr(call, late)()
    assert breaker.state == "half-open"
    probe.succeeded()
    others = [entered(breaker) for _ in range(3)]
    assert breaker.enter() is None
    for call in others:
        call.succeeded()
    assert breaker.state == "closed"


def test_a_late_success_does_not_close_what_is_open() -> None:
    breaker = told("----")
    slow = entered(breaker)
    entered(breaker).failed()
    slow.succeeded()
    assert breaker.state == "open"
    assert breaker.enter() is None


def test_it_says_how_long_it_rests() -> None:
    hand = Hand()
    breaker = told("-----", hand)
    assert breaker.rest() == 5.0
    hand.now += 2
    assert breaker.rest() == 3.0
    hand.now += 9
    assert breaker.rest() == 0.0
    assert told("").rest() == 0.0


def test_retries_are_a_tenth_of_the_calls() -> None:
    budget, spent = Budget(), 0
    for _ in repeat(None, 1000):
        budget.earn()
        spent += budget.spend()
    assert 100 <= spent <= 101


def test_what_was_saved_in_good_times_is_bounded() -> None:
    budget = Budget()
    for _ in repeat(None, 1000):
        budget.earn()
    assert sum(budget.spend() for _ in repeat(None, 100)) == 10
