"""Three promises about a shape: of what is taken, what is given, and what is told to everybody."""

from collections.abc import Iterator
from dataclasses import replace

from martech.kernel.published.gate.breach import Broken
from martech.kernel.published.gate.limits import Difference
from martech.kernel.published.gate.places import Place
from martech.kernel.published.gate.shapes import SILENT, Manner, differences

TAKING = Manner(lenient=False, keeps=False, fills=True)
GIVING = Manner(lenient=True, keeps=True, fills=False)
REPLAYING = Manner(lenient=True, keeps=False, fills=True)

NOTES = SILENT | {"summary", "example", "externalDocs"}
"""Words that are for people."""


def taken(then: Place, now: Place, *, by_anyone: bool = False) -> Iterator[Broken]:
    """Requests: what an old caller says is understood, and means what it meant; *by_anyone* where
    that may be more than *then* declares."""
    for found in differences(then, now, replace(TAKING, closed=not by_anyone)):
        yield _broken(found, found.writer, found.reader)


def given(then: Place, now: Place) -> Iterator[Broken]:
    """Answers: an old caller understands what is said now, and finds everything it knows."""
    for found in differences(now, then, GIVING):
        yield _broken(found, found.reader, found.writer)


def told(then: Place, now: Place) -> Iterator[Broken]:
    """Events are kept for ever: new readers read the old ones, and old readers the new ones."""
    seen = set()
    for found in differences(then, now, REPLAYING):
        broken = _broken(found, found.writer, found.reader)
        seen.add((broken.rule, broken.pointer))
        yield broken
    for broken in given(then, now):
        if (broken.rule, broken.pointer) not in seen:
            yield broken


def unknown(then: Place, now: Place, compared: set[str]) -> Iterator[Broken]:
    """The words that say something else now and that nobody has *compared*."""
    for word in sorted((then.here.keys() | now.here.keys()) - compared - NOTES):
        if not word.startswith("x-") and then.here.get(word) != now.here.get(word):
            yield changed("unjudged", then.at(word), now.at(word))


def changed(rule: str, then: Place, now: Place) -> Broken:
    """What stood at *then* and stands at *now* are not the same, or nothing stands there."""
    return Broken(rule, then.pointer if now.here is None else now.pointer, then.here, now.here)


def _broken(found: Difference, then: Place, now: Place) -> Broken:
    new_reader = found.reader is now
    match found.rule:
        case "required":
            rule = "newly-required" if new_reader else "newly-optional"
            was, is_ = ("optional", "required") if new_reader else ("required", "optional")
            return Broken(rule, now.pointer, was if then.here is not None else None, is_)
        case "field":
            rule = "field-removed" if now.here is None else "field-added"
        case "values":
            rule = "values-removed" if new_reader else "values-added"
        case "unjudged" | "newly-strict":
            rule = found.rule
        case said:
            rule = f"{said}-changed"
    return changed(rule, then, now)
