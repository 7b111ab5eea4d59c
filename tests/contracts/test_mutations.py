"""The gate says of a change what real readers say of it."""

import pytest
from hypothesis import given as examples

from martech.kernel.published.gate.places import root
from martech.kernel.published.gate.promises import given, taken, told
from martech.kernel.published.gate.shapes import Manner, differences
from tests.contracts.mutations import SPOTS, Change, changes
from tests.contracts.readers import survives

PROMISES = {"told": told, "taken": taken, "given": given}

STRICTER = {"field-removed", "default-changed"}
"""Of these the gate says no where a reader goes on. A field that nobody needs may not go, because
another of its name and of another type would come, and then neither of two honest steps were to
blame: so each step must be one that all later ones can be added to. And a reader does not notice
another default, but what it reads then means something else."""


def ways(change: Change) -> list[tuple]:  # type: ignore[type-arg]
    """Who writes, who reads, and whether it reads strictly."""
    forth, back = (change.now, change.then), (change.then, change.now)
    return {
        "told": [(*back, False), (*forth, False)],
        "taken": [(*back, True)],
        "given": [(*forth, False)],
    }[change.promise]


@examples(changes())
def test_it_is_a_difference_if_and_only_if_a_reader_does_not_survive_it(change: Change) -> None:
    for writer, reader, strict in ways(change):
        manner = Manner(lenient=not strict, keeps=False, fills=False)
        assert survives(writer, reader, strict=strict) == (not differences(writer, reader, manner))


@examples(changes())
def test_what_a_reader_survives_passes_and_what_it_does_not_is_named(change: Change) -> None:
    named = {broken.rule for broken in PROMISES[change.promise](change.then, change.now)}
    if all(survives(writer, reader, strict=strict) for writer, reader, strict in ways(change)):
        assert named <= STRICTER
    else:
        assert named


@pytest.mark.parametrize("promise", list(PROMISES), ids=lambda promise: f"what is {promise}")
def test_nothing_that_stays_as_it_is_is_named(promise: str) -> None:
    spots = [(document, spot) for kind, document, spot in SPOTS if kind == promise]
    assert spots
    for document, spot in spots:
        place = root(document).at(*spot)
        assert list(PROMISES[promise](place, place)) == []


def test_a_field_that_goes_could_come_back_as_another() -> None:
    """Why `field-removed` is stricter than any one reader: of three versions in a row each two
    neighbours understand each other, and the first and the last do not."""
    first = root({"type": "object", "properties": {"size": {"type": "string", "default": ""}}})
    second = root({"type": "object", "properties": {}})
    third = root({"type": "object", "properties": {"size": {"type": "integer", "default": 0}}})
    for old, new in [(first, second), (second, third)]:
        assert survives(old, new, strict=False)
        assert survives(new, old, strict=False)
    assert not survives(first, third, strict=False)
    assert [broken.rule for broken in told(first, second)] == ["field-removed"]
