"""What the counts of a campaign say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from martech.modules.campaigns.contract import Counts
from martech.modules.campaigns.domain import figures


@given(st.builds(Counts, **dict.fromkeys(Counts.__struct_fields__, st.integers(0, 10**6))))
def test_rates_are_of_those_who_could(counts: Counts) -> None:
    rates = figures.rates(counts)
    assert (rates.delivered is None) == (counts.sent == 0)
    assert (rates.opened is None) == (counts.delivered == 0)
    if counts.delivered:
        assert rates.clicked == pytest.approx(counts.clicked / counts.delivered, abs=1e-4)


NUMBERS = st.integers(0, 20)
SHARES = (
    *("pending", "deferred", "ambiguous", "delivered", "bounced", "failed"),
    *("suppressed", "unreachable", "duplicate", "cancelled"),
)


def launch_came_to(**given: int) -> Counts:
    sent = given.get("delivered", 0) + given.get("bounced", 0)
    return Counts(audience=sum(given.values()), sent=sent, **given)


came_to = st.fixed_dictionaries(dict.fromkeys(SHARES, NUMBERS)).map(
    lambda given: launch_came_to(**given)
)


@given(came_to, st.lists(came_to, max_size=3))
def test_what_all_launches_came_to_sums_up_as_one_does(last: Counts, earlier: list[Counts]) -> None:
    whole = figures.altogether(last, earlier)
    assert whole.audience == sum(getattr(whole, name) for name in SHARES)
    assert whole.sent == whole.delivered + whole.bounced
    assert whole.delivered == sum(one.delivered for one in (last, *earlier))
    assert min(getattr(whole, name) for name in SHARES) >= 0


def test_whom_an_earlier_launch_reached_is_no_duplicate_of_the_last() -> None:
    first = launch_came_to(delivered=4, bounced=1, cancelled=15)
    last = launch_came_to(delivered=14, duplicate=6)
    assert figures.altogether(last, [first]) == launch_came_to(delivered=18, bounced=1, duplicate=1)


def test_who_was_left_out_is_said_with_the_reasons() -> None:
    counts = Counts(audience=1300, unreachable=1200, suppressed=3, delivered=97, sent=97)
    assert figures.remark(counts, "sending") == (
        "Left out: 1,200 without an address, 3 unsubscribed, bounced before, suppressed by hand, "
        "of denied consent or moved since."
    )
    assert figures.remark(Counts(audience=5, delivered=5, sent=5), "completed") is None
    assert figures.remark(Counts(), "sending") is None, "delivery has not told of it yet"
    assert "nobody" in (figures.remark(Counts(), "completed") or "")


def test_progress_does_not_reach_the_end_before_the_audience_is_complete() -> None:
    half = Counts(audience=1000, delivered=1000, sent=1000)
    assert figures.progress(half, 2000, "launching", sealed=False) == 0.5
    assert figures.progress(half, 2000, "sending", sealed=True) == 1.0
    unclear = Counts(audience=10, ambiguous=1, deferred=1, pending=3, delivered=5, sent=5)
    assert figures.progress(unclear, 10, "sending", sealed=True) == 0.5
    assert figures.progress(Counts(), None, "draft", sealed=False) == 0.0
    assert figures.progress(Counts(), 0, "completed", sealed=True) == 1.0
