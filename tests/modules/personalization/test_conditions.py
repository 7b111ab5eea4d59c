"""Conditions are data: what they say, and what is said about those that are none."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from martech.kernel.errors import Invalid
from martech.modules.personalization.domain.behaviour import scalars, values
from martech.modules.personalization.domain.catalog import Defined, catalog, compiled, definitions
from martech.modules.personalization.domain.conditions import Behaviour, parsed, read, written
from martech.modules.personalization.domain.tallies import Tally
from martech.modules.personalization.domain.values import micros

ORDER: dict[str, Any] = {"event": "Order Completed"}


def nested(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {"trait": "x", "is": "exists"}
    for _ in range(depth):
        inner = {"not": inner}
    return inner


WRONG: list[tuple[object, str, str]] = [
    ([], "condition", "must be an object"),
    ({}, "condition", "one of all, any, not, trait or event"),
    ({"all": []}, "condition.all", "at least one"),
    ({"all": {}}, "condition.all", "must be a list"),
    ({"all": [{"any": [1]}]}, "condition.all[0].any[0]", "must be an object"),
    ({"all": [nested(0)], "any": [nested(0)]}, "condition.any", "does not belong there"),
    (nested(8), "condition.not.not.not.not.not.not.not.not", "nested over 8 deep"),
    ({"any": [nested(0)] * 100}, "condition.any[99]", "over 100 parts"),
    ({"trait": "", "is": "exists"}, "condition.trait", "1 to 200 characters"),
    ({"trait": "a\0", "is": "exists"}, "condition.trait", "1 to 200 characters"),
    ({"trait": "city"}, "condition.is", "must be one of equals"),
    ({"trait": "city", "is": "like"}, "condition.is", "must be one of equals"),
    ({"trait": "city", "is": ["equals"]}, "condition.is", "must be one of equals"),
    ({"trait": "city", "is": "equals"}, "condition.value", "equals needs it"),
    ({"trait": "c", "is": "exists", "value": 1}, "condition.value", "Leave it out"),
    ({"trait": "c", "is": "one_of", "value": "x"}, "condition.value", "list of 1 to 500"),
    ({"trait": "c", "is": "one_of", "value": [1, None]}, "condition.value[1]", "must be a text"),
    ({"trait": "c", "is": "equals", "value": {}}, "condition.value", "must be a text"),
    ({"trait": "c", "is": "equals", "value": "x" * 501}, "condition.value", "over 500"),
    ({"trait": "c", "is": "at_least", "value": True}, "condition.value", "number or a text"),
    ({"trait": "c", "is": "equals", "value": 1, "x": 1}, "condition.x", "does not belong"),
    ({"trait": "c", "is": "equals", "value": 10**19}, "condition.value", "smaller number"),
    ({"trait": "c", "is": "one_of", "value": [1e300]}, "condition.value[0]", "smaller number"),
    (ORDER, "condition.at_least", "needs a bound"),
    (ORDER | {"at_least": -1}, "condition.at_least", "whole number of times"),
    (ORDER | {"at_least": 1.5}, "condition.at_least", "whole number of times"),
    (ORDER | {"at_least": True}, "condition.at_least", "whole number of times"),
    (ORDER | {"at_least": 5, "less_than": 5}, "condition", "No number is within"),
    (ORDER | {"at_least": 5, "more_than": 5}, "condition", "Send one"),
    (ORDER | {"sum": "revenue", "at_least": "5"}, "condition.at_least", "six decimals"),
    (ORDER | {"sum": "revenue", "at_least": 0.0000001}, "condition.at_least", "six decimals"),
    (ORDER | {"sum": "revenue", "at_least": 1e300}, "condition.at_least", "six decimals"),
    (ORDER | {"at_least": 1, "within": "P1M"}, "condition.within", "say days"),
    (ORDER | {"at_least": 1, "within": "P"}, "condition.within", "duration"),
    (ORDER | {"at_least": 1, "within": "P1DT"}, "condition.within", "duration"),
    (ORDER | {"at_least": 1, "within": "PT0S"}, "condition.within", "one second"),
    (ORDER | {"at_least": 1, "within": "P9999D"}, "condition.within", "3,660 days"),
    (ORDER | {"at_least": 1, "within": 30}, "condition.within", "duration"),
    (ORDER | {"at_least": 1, "where": {}}, "condition.where", "list of at most 10"),
    (ORDER | {"at_least": 1, "where": [{"trait": "x"}]}, "condition.where[0]", "property and is"),
    (
        ORDER | {"at_least": 1, "where": [{"property": "x", "is": "equals"}]},
        "condition.where[0].value",
        "needs it",
    ),
    ({"event": 5, "at_least": 1}, "condition.event", "1 to 200 characters"),
]


@pytest.mark.parametrize(("condition", "field", "said"), WRONG)
def test_what_is_wrong_is_said_with_its_path_and_the_cure(
    condition: object, field: str, said: str
) -> None:
    with pytest.raises(Invalid) as caught:
        read(condition)
    assert caught.value.field == field
    assert said in caught.value.detail


OTHERS = ("where", "at_least", "property")


def test_a_condition_has_a_largest_size() -> None:
    texts = [f"{n:0500}" for n in range(50)]
    with pytest.raises(Invalid, match="Send at most 20,000") as caught:
        written({"trait": "city", "is": "one_of", "value": texts})
    assert caught.value.field == "condition"


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "all",
                    "any",
                    "not",
                    "trait",
                    "is",
                    "value",
                    "event",
                    "sum",
                    "within",
                    "where",
                    "at_least",
                    "property",
                ]
            ),
            inner | st.sampled_from(["equals", "one_of", "exists", "P1D", "city"]),
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(json)
def test_anything_at_all_is_a_condition_or_is_refused(condition: object) -> None:
    try:
        made = read(condition)
    except Invalid:
        return
    assert parsed(msgspec.json.encode(condition)) == made


@pytest.mark.parametrize(
    ("asked", "value", "holds"),
    [
        ({"is": "equals", "value": "Ulm"}, "Ulm", True),
        ({"is": "equals", "value": "Ulm"}, "ulm", False),
        ({"is": "equals", "value": 1}, 1.0, True),
        ({"is": "equals", "value": 1}, True, False),
        ({"is": "equals", "value": 1}, "1", False),
        ({"is": "equals", "value": True}, True, True),
        ({"is": "not_equals", "value": "Ulm"}, "Bonn", True),
        ({"is": "not_equals", "value": "Ulm"}, ["Ulm"], True),
        ({"is": "one_of", "value": ["a", 5]}, 5.0, True),
        ({"is": "one_of", "value": ["a", 1]}, True, False),
        ({"is": "one_of", "value": ["a", 1]}, ["a"], False),
        ({"is": "one_of", "value": ["{}", "a"]}, {}, False),
        ({"is": "contains", "value": "lm"}, "Ulm", True),
        ({"is": "contains", "value": "lm"}, ["Ulm", "lm"], True),
        ({"is": "contains", "value": "lm"}, ["Ulm"], False),
        ({"is": "contains", "value": 5}, "5", False),
        ({"is": "at_least", "value": 5}, 5, True),
        ({"is": "at_least", "value": 5}, "6", False),
        ({"is": "at_least", "value": 1}, True, False),
        ({"is": "more_than", "value": 5}, 5, False),
        ({"is": "at_most", "value": "2026-12-01"}, "2026-11-30", True),
        ({"is": "less_than", "value": "2026-12-01"}, "2026-12-01", False),
        ({"is": "exists"}, False, True),
        ({"is": "exists"}, {}, True),
        ({"is": "missing"}, 0, False),
        ({"is": "equals", "value": "{}"}, {}, False),
    ],
)
def test_a_value_is_held_against_what_is_asked(
    asked: dict[str, Any], value: object, holds: bool
) -> None:
    match = compiled(read({"trait": "x", **asked}), {})
    assert match({"x": value}, {}) is holds


@pytest.mark.parametrize("is_", ["equals", "not_equals", "contains", "at_least", "less_than"])
def test_whatever_is_asked_of_what_is_missing_is_false(is_: str) -> None:
    assert not compiled(read({"trait": "x", "is": is_, "value": 1}), {})({}, {})
    assert compiled(read({"trait": "x", "is": "missing"}), {})({}, {})


def test_bounds_are_exact() -> None:
    for bounds, inside in {
        ("at_least",): (5, 6),
        ("more_than",): (6,),
        ("at_most",): (4, 5),
        ("less_than",): (4,),
        ("at_least", "at_most"): (5,),
    }.items():
        condition = read(ORDER | dict.fromkeys(bounds, 5))
        match = compiled(condition, dict.fromkeys(definitions(condition), 1))
        assert [n for n in (4, 5, 6) if match({}, {1: Tally(n)})] == list(inside)
    penny = read(ORDER | {"sum": "revenue", "more_than": 0.1})
    assert isinstance(penny, Behaviour)
    assert penny.low == 100_001


@given(st.lists(st.integers(-(10**9), 10**9), max_size=50))
def test_money_adds_up_exactly(cents: list[int]) -> None:
    assert sum(micros(c / 100) or 0 for c in cents) == sum(cents) * 10_000


def test_what_is_no_amount_of_money_adds_nothing() -> None:
    assert [micros(v) for v in ("5", True, None, [5], 1e13, -1e300)] == [None] * 6
    assert micros(1e12) == 10**18
    assert micros(2_000_000_000.25) == 2_000_000_000_250_000


def test_two_segments_that_ask_for_the_same_share_a_measure() -> None:
    where = [{"property": "a", "is": "equals", "value": 1}, {"property": "b", "is": "exists"}]
    one, other, third = (
        ORDER | {"at_least": 1, "where": where},
        ORDER | {"at_most": 7, "where": where[::-1]},
        ORDER | {"at_most": 7, "where": [where[0] | {"value": True}, where[1]]},
    )
    keys = [next(iter(definitions(read(c)))) for c in (one, other, third)]
    assert keys[0] == keys[1] != keys[2]


def test_bounds_of_all_segments_are_the_steps_of_a_measure() -> None:
    stored = [msgspec.json.encode(ORDER | bounds) for bounds in ({"at_least": 3}, {"at_most": 4})]
    defined = tuple(Defined(n, _id(n), 1, condition) for n, condition in enumerate(stored))
    (key,) = definitions(parsed(stored[0]))
    made = catalog(defined, ((key, 9),))
    (measured,) = made.by_event["Order Completed"]
    assert (measured.number, measured.steps) == (9, (3, 5))
    assert [set(some) for some in measured.between(2, 3)] == []
    assert [set(some) for some in measured.between(0, 1)] == [{0}]
    assert [set(some) for some in measured.between(2, 0)] == [{0}, {1}]
    assert made.by_default == {1}


def _id(number: int) -> Any:
    from uuid import UUID

    return UUID(int=number)


def test_of_what_was_done_the_plain_properties_are_kept() -> None:
    told = {
        "order_id": "1",
        "revenue": 5.25,
        "first": True,
        "coupon": None,
        "products": [{"sku": 1}],
        "shop": {"name": "x"},
        "note": "x" * 3000,
    }
    kept = scalars(msgspec.Raw(msgspec.json.encode(told)))
    assert values(kept) == {"order_id": "1", "revenue": 5.25, "first": True}


def test_of_many_properties_none_is_passed_over() -> None:
    """Which a segment will ask for nobody knows when it is heard."""
    told = {f"a{number:03}": number for number in range(1000)} | {"revenue": 500}
    assert values(scalars(msgspec.Raw(msgspec.json.encode(told)))) == told
