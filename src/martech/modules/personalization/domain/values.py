"""Comparing what is known with what a condition asks for.

Numbers are compared as numbers, texts as texts, and never one with the other: ``"5"`` is not 5 and
``true`` is not 1. Whatever is asked of a value that is missing is false, but for ``missing``.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

import msgspec

from martech.kernel.errors import Invalid

LONGEST_TEXT: Final = 500
LONGEST_LIST: Final = 500
MICRO: Final = 1_000_000
"""Sums are kept in millionths: whole numbers, so that no order of adding makes a difference."""

GREATEST: Final = 10**12
"""A number beyond it is a mistake or malice, and adds nothing to a sum."""

LARGEST: Final = 10**18

_EXACT: Final = 10**9  # up to here a float's product with a million still rounds right

SCALARS: Final = ("truth", "number", "text")
"""The kinds that a condition can name a value of."""

Test = Callable[[object], bool]


class Missing(msgspec.Struct, frozen=True):
    """What is there where nothing is."""


MISSING: Final = Missing()


def kind(value: object) -> str:
    """What a value may be compared with."""
    match value:
        case bool():
            return "truth"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list():
            return "list"
    return "nothing"


def micros(value: object) -> int | None:
    """A number in millionths, rounded half to even; None for what is no number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if not -GREATEST <= value <= GREATEST:
        return None
    if isinstance(value, int):
        return value * MICRO
    if -_EXACT < value < _EXACT:
        return round(value * MICRO)
    return int((Decimal(repr(value)) * MICRO).to_integral_value())


def test_of(is_: str, value: object) -> Test:
    """Whether a value is what is asked for. *value* was checked by `operand`."""
    return TESTS[is_](value)


def operand(is_: str, given: Mapping[str, object], path: str) -> object:
    """The ``value`` beside ``is``, or MISSING where none belongs. Raises `Invalid`."""
    path = f"{path}.value"
    if is_ in ("exists", "missing"):
        if "value" in given:
            raise Invalid(f"{path} says nothing beside {is_}. Leave it out.", field=path)
        return MISSING
    if "value" not in given:
        raise Invalid(f"{path} is missing. {is_} needs it.", field=path)
    value = given["value"]
    match is_, value:
        case "one_of", list() if 0 < len(value) <= LONGEST_LIST:
            return [scalar(item, f"{path}[{number}]") for number, item in enumerate(value)]
        case "one_of", _:
            raise Invalid(f"{path} must be a list of 1 to {LONGEST_LIST} values.", field=path)
        case (("at_least" | "more_than" | "at_most" | "less_than"), _):
            if kind(value) not in ("number", "text"):
                raise Invalid(f"{path} must be a number or a text (a date is one).", field=path)
    return scalar(value, path)


def scalar(value: object, path: str) -> object:
    if kind(value) not in SCALARS:
        raise Invalid(f"{path} must be a text, a number, true or false.", field=path)
    if isinstance(value, (int, float)) and not -LARGEST <= value <= LARGEST:
        raise Invalid(f"{path} is beyond {LARGEST:,}. Send a smaller number.", field=path)
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        raise Invalid(f"{path} has over {LONGEST_TEXT} characters. Send fewer.", field=path)
    return value


def _equals(wanted: object) -> Test:
    like = kind(wanted)
    return lambda value: kind(value) == like and value == wanted


def _not_equals(wanted: object) -> Test:
    same = _equals(wanted)
    return lambda value: value is not MISSING and not same(value)


def _one_of(wanted: object) -> Test:
    listed = wanted if isinstance(wanted, list) else []
    keys = {(kind(item), item) for item in listed}
    return lambda value: kind(value) in SCALARS and (kind(value), value) in keys


def _contains(wanted: object) -> Test:
    same = _equals(wanted)

    def test(value: object) -> bool:
        if isinstance(value, str):
            return isinstance(wanted, str) and wanted in value
        return isinstance(value, list) and any(map(same, value))

    return test


def _compares(holds: Callable[[int], bool]) -> Callable[[object], Test]:
    """*holds* is asked with -1, 0 or 1: less, equal, more."""

    def made(wanted: object) -> Test:
        def test(value: object) -> bool:
            if isinstance(value, bool) or isinstance(wanted, bool):
                return False
            if isinstance(value, str) and isinstance(wanted, str):
                return holds((value > wanted) - (value < wanted))
            if isinstance(value, (int, float)) and isinstance(wanted, (int, float)):
                return holds((value > wanted) - (value < wanted))
            return False

        return test

    return made


TESTS: Final[Mapping[str, Callable[[object], Test]]] = {
    "equals": _equals,
    "not_equals": _not_equals,
    "one_of": _one_of,
    "contains": _contains,
    "at_least": _compares(lambda order: order >= 0),
    "more_than": _compares(lambda order: order > 0),
    "at_most": _compares(lambda order: order <= 0),
    "less_than": _compares(lambda order: order < 0),
    "exists": lambda _: lambda value: value is not MISSING,
    "missing": lambda _: lambda value: value is MISSING,
}
