"""However traits are written and joined, the same few of too many are kept: found by hypothesis
with limits that it reaches."""

from collections.abc import Iterator
from functools import reduce
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from martech.modules.profiles import domain
from martech.modules.profiles.domain import Traits, traits
from tests.modules.profiles.items import item

NAMES = ["email", "a", "b", "c", "aa", "ab", "long name"]

writes = st.builds(
    lambda minute, by, value, late: domain.Written(
        item(0, minute=minute).timestamp, by, msgspec.Raw(value), late=late
    ),
    st.integers(0, 3),
    st.sampled_from("ab"),
    st.sampled_from([b"null", b"1", b'"twelve bytes"', b'"twenty-four bytes of it"']),
    st.integers(0, 2),
)
written = st.dictionaries(st.sampled_from(NAMES), writes, max_size=3)


@pytest.fixture(scope="module", autouse=True)
def few() -> Iterator[None]:
    """Three traits are many, and forty bytes."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(traits, "MOST_TRAITS", 3)
        monkeypatch.setattr(traits, "MOST_BYTES", 40)
        yield


@given(st.lists(written, max_size=6), st.data())
def test_what_is_kept_of_too_many_does_not_depend_on_order_or_repetition(
    heard: list[Traits], data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(heard), max_size=3)) if heard else []
    other = data.draw(st.permutations([*heard, *again]))
    middle = data.draw(st.integers(0, len(other)))
    nothing: Traits = {}
    halves = [reduce(domain.joined, half, nothing) for half in (other[:middle], other[middle:])]
    assert domain.joined(*halves) == reduce(domain.joined, heard, nothing)


@given(st.lists(written, max_size=6))
def test_never_more_is_kept_than_fits(heard: list[Traits]) -> None:
    nothing: Traits = {}
    shown = domain.shown(reduce(domain.joined, heard, nothing))
    assert len(shown) <= 3
    assert sum(len(name) + len(bytes(value)) for name, value in shown.items()) <= 40


@given(st.lists(written, max_size=8))
def test_who_keeps_as_many_and_follows_what_is_told_has_the_same(heard: list[Traits]) -> None:
    nothing: Traits = {}
    steps, followed = [nothing], dict[str, msgspec.Raw]()
    for each in heard:
        steps.append(domain.joined(steps[-1], each))
    for before, after in pairwise(steps):
        for name, value in domain.differences(before, after).items():
            if value == domain.NULL:
                del followed[name]
            elif name in followed or len(followed) < 3:
                followed[name] = value
    assert followed == domain.shown(steps[-1])
