"""Another registry's judgement of 132 changes, and ours."""

from collections.abc import Mapping

import pytest

from martech.kernel.published.gate.places import root
from martech.kernel.published.gate.shapes import Manner, differences
from tests.contracts.facts import COMBINED, SINGLE, Table

READER = Manner(lenient=True, keeps=False, fills=False)
"""A reader of the second schema, and nothing else: what their judgement is about."""

CLOSED = "they think of writers who write fields that they do not declare; ours are structs"
ASKED = "they overlook a field that the reader requires and does not declare"
UNJUDGED = "a word that no contract of ours has: we say that we cannot compare it, and do not guess"
DIFFERENTLY: Mapping[str, Mapping[int, str]] = {
    "single": {
        23: UNJUDGED,
        32: CLOSED,
        39: UNJUDGED,
        44: CLOSED,
        49: UNJUDGED,
        50: UNJUDGED,
        55: ASKED,
    },
    "combined": {},
}
"""Where we judge differently, and why."""


def test_all_of_them_are_here() -> None:
    assert (len(SINGLE), len(COMBINED)) == (104, 28)


@pytest.mark.parametrize(("name", "table"), [("single", SINGLE), ("combined", COMBINED)])
def test_we_judge_like_them_but_where_we_say_why(name: str, table: Table) -> None:
    judged = [not differences(root(then), root(now), READER) for _compatible, then, now in table]
    different = {
        number
        for number, (ours, (theirs, *_)) in enumerate(zip(judged, table, strict=True))
        if ours != theirs
    }
    assert different == set(DIFFERENTLY[name])


@pytest.mark.parametrize(
    "number", [n for n, why in DIFFERENTLY["single"].items() if why == UNJUDGED]
)
def test_what_cannot_be_compared_is_said_to_be_so(number: int) -> None:
    theirs, then, now = SINGLE[number]
    assert theirs
    assert "unjudged" in {found.rule for found in differences(root(then), root(now), READER)}
