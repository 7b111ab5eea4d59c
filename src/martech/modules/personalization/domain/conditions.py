"""Who belongs to a segment, as data.

    {"all": [...]}  {"any": [...]}  {"not": {...}}
    {"trait": "city", "is": "one_of", "value": ["Ulm", "Bonn"]}
    {"event": "Order Completed", "at_least": 3, "within": "P30D"}
    {"event": "Order Completed", "sum": "revenue", "more_than": 99.5,
     "where": [{"property": "channel", "is": "equals", "value": "web"}]}

A behaviour counts the times of an event, or with ``sum`` adds up a property of it. What was done
``within`` a time until now counts until exactly that time has passed; without it, all of the past.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import msgspec

from martech.kernel.errors import Invalid
from martech.modules.personalization.domain.values import (
    GREATEST,
    MICRO,
    TESTS,
    kind,
    micros,
    operand,
)

DEEPEST: Final = 8
MOST_PARTS: Final = 100
LARGEST_CONDITION: Final = 20_000  # bytes: they are read with every batch of news
MOST_WHERE: Final = 10
LONGEST_NAME: Final = 200
LONGEST_WINDOW: Final = 3660  # days
BOUNDS: Final = ("at_least", "more_than", "at_most", "less_than")

_DURATION = re.compile(
    r"P(?:(\d{1,9})W)?(?:(\d{1,9})D)?(T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?"
)
_SECONDS = (604_800, 86_400, 3600, 60, 1)


@dataclass(frozen=True)
class Asked:
    """What is asked of one trait or property."""

    name: str
    is_: str
    value: object


@dataclass(frozen=True)
class Measure:
    """A number that is kept of everybody. Two with the same *definition* are one."""

    event: str
    sum: str | None
    within: int | None
    """Microseconds; None for ever."""

    where: tuple[Asked, ...]
    definition: bytes


@dataclass(frozen=True)
class Behaviour:
    """Holds while ``low <= measure < high``, in times or in millionths."""

    measure: Measure
    low: int | None
    high: int | None


@dataclass(frozen=True)
class Junction:
    every: bool
    parts: "tuple[Condition, ...]"


@dataclass(frozen=True)
class Negation:
    part: "Condition"


Condition = Junction | Negation | Asked | Behaviour


@lru_cache(maxsize=1024)
def parsed(stored: bytes) -> Condition:
    """A condition that was checked when it was saved."""
    return read(msgspec.json.decode(stored))


def read(given: object) -> Condition:
    """Raises `Invalid` with the path of what is wrong, and the cure."""
    left = [MOST_PARTS]
    return _condition(given, "condition", DEEPEST, left)


def written(given: object) -> tuple[Condition, bytes]:
    """A condition as it is stored. Raises `Invalid`."""
    condition, stored = read(given), msgspec.json.encode(given)
    if len(stored) > LARGEST_CONDITION:
        raise Invalid(
            f"The condition has {len(stored):,} bytes. Send at most {LARGEST_CONDITION:,}.",
            field="condition",
        )
    return condition, stored


def leaves(condition: Condition) -> Iterator[Asked | Behaviour]:
    match condition:
        case Junction():
            for part in condition.parts:
                yield from leaves(part)
        case Negation():
            yield from leaves(condition.part)
        case _:
            yield condition


def _condition(given: object, path: str, deep: int, left: list[int]) -> Condition:
    left[0] -= 1
    if left[0] < 0:
        raise Invalid(f"The condition has over {MOST_PARTS} parts. Make two segments.", field=path)
    if deep == 0:
        raise Invalid(f"{path} is nested over {DEEPEST} deep. Send a flatter one.", field=path)
    if not isinstance(given, dict):
        raise Invalid(f"{path} must be an object with all, any, not, trait or event.", field=path)
    match given:
        case {"all": parts} | {"any": parts}:
            word = "all" if "all" in given else "any"
            _only(given, {word}, path)
            return Junction(word == "all", _parts(parts, f"{path}.{word}", deep, left))
        case {"not": part}:
            _only(given, {"not"}, path)
            return Negation(_condition(part, f"{path}.not", deep - 1, left))
        case {"trait": name}:
            return _asked(given, "trait", name, path)
        case {"event": name}:
            return _behaviour(given, name, path)
    raise Invalid(f"{path} must have one of all, any, not, trait or event.", field=path)


def _parts(given: object, path: str, deep: int, left: list[int]) -> tuple[Condition, ...]:
    if not isinstance(given, list) or not given:
        raise Invalid(f"{path} must be a list with at least one condition.", field=path)
    return tuple(
        _condition(part, f"{path}[{number}]", deep - 1, left) for number, part in enumerate(given)
    )


def _asked(given: Mapping[str, object], subject: str, name: object, path: str) -> Asked:
    _only(given, {subject, "is", "value"}, path)
    is_ = given.get("is")
    if not isinstance(is_, str) or is_ not in TESTS:
        raise Invalid(f"{path}.is must be one of {', '.join(TESTS)}.", field=f"{path}.is")
    return Asked(_name(name, f"{path}.{subject}"), is_, operand(is_, given, path))


def _behaviour(given: Mapping[str, object], event: object, path: str) -> Behaviour:
    _only(given, {"event", "sum", "within", "where", *BOUNDS}, path)
    name = _name(event, f"{path}.event")
    summed = _name(given["sum"], f"{path}.sum") if "sum" in given else None
    within = _duration(given["within"], f"{path}.within") if "within" in given else None
    where = _where(given.get("where", []), f"{path}.where")
    plain = (
        name,
        summed,
        within,
        sorted(msgspec.json.encode((w.name, w.is_, _plain(w.value))) for w in where),
    )
    measure = Measure(name, summed, within, where, msgspec.json.encode(plain))
    return Behaviour(measure, *_range(given, path, whole=summed is None))


def _range(given: Mapping[str, object], path: str, *, whole: bool) -> tuple[int | None, int | None]:
    """The first number that is enough and the first that is too much."""
    bounds = {
        word: _bound(given[word], f"{path}.{word}", whole) for word in BOUNDS if word in given
    }
    if not bounds:
        raise Invalid(f"{path} needs a bound, such as at_least.", field=f"{path}.at_least")
    low = {w: b + (w == "more_than") for w, b in bounds.items() if w in ("at_least", "more_than")}
    high = {w: b + (w == "at_most") for w, b in bounds.items() if w in ("at_most", "less_than")}
    for ends in (low, high):
        if len(ends) > 1:
            raise Invalid(f"{path} has both {' and '.join(ends)}. Send one.", field=path)
    first, end = next(iter(low.values()), None), next(iter(high.values()), None)
    if first is not None and end is not None and first >= end:
        raise Invalid(f"No number is within the bounds of {path}. Mend them.", field=path)
    return first, end


def _bound(value: object, path: str, whole: bool) -> int:
    if whole:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= GREATEST:
            raise Invalid(f"{path} must be a whole number of times, 0 or more.", field=path)
        return value
    exact = micros(value)
    if exact is None or (isinstance(value, float) and exact / MICRO != value):
        raise Invalid(
            f"{path} must be a number of at most six decimals, up to {GREATEST:,}.", field=path
        )
    return exact


def _where(given: object, path: str) -> tuple[Asked, ...]:
    if not isinstance(given, list) or len(given) > MOST_WHERE:
        raise Invalid(f"{path} must be a list of at most {MOST_WHERE} properties.", field=path)
    asked = []
    for number, part in enumerate(given):
        here = f"{path}[{number}]"
        if not isinstance(part, dict) or "property" not in part:
            raise Invalid(f"{here} must be an object with property and is.", field=here)
        asked.append(_asked(part, "property", part["property"], here))
    return tuple(asked)


def _duration(given: object, path: str) -> int:
    match = _DURATION.fullmatch(given) if isinstance(given, str) and len(given) < 60 else None
    numbers = [match[n] for n in (1, 2, 4, 5, 6)] if match else []
    if match is None or not any(numbers) or match[3] == "T":
        raise Invalid(
            f"{path} must be a duration such as P30D, P2W or PT12H. A month or a year has no fixed "
            "length: say days.",
            field=path,
        )
    seconds = sum(int(n or 0) * each for n, each in zip(numbers, _SECONDS, strict=True))
    if not 0 < seconds <= LONGEST_WINDOW * 86_400:
        raise Invalid(f"{path} must be of one second to {LONGEST_WINDOW:,} days.", field=path)
    return seconds * 1_000_000


def _name(given: object, path: str) -> str:
    if not isinstance(given, str) or not 0 < len(given) <= LONGEST_NAME or "\0" in given:
        raise Invalid(f"{path} must be a name of 1 to {LONGEST_NAME} characters.", field=path)
    return given


def _only(given: Mapping[str, object], known: set[str], path: str) -> None:
    for name in given:
        if name not in known:
            raise Invalid(
                f"{path}.{name[:80]} does not belong there. Known are {', '.join(sorted(known))}.",
                field=f"{path}.{name[:80]}",
            )


def _plain(value: object) -> object:
    return value if kind(value) != "nothing" else None
