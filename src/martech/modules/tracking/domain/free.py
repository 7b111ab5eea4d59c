"""What every JSON object of a stranger must be, so that whoever reads it later reads the same.

UTF-8 and no lone surrogates (the decoder sees to that), no name twice in one object, no NUL, at
most `DEPTH` levels, no whole number beyond 64 bits.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator

import msgspec

from martech.modules.tracking.contract import DEPTH

LOWEST, HIGHEST = -(2**63), 2**64 - 1
_PLAIN = frozenset((str, float, bool, type(None)))

_decode = msgspec.json.Decoder(dict[str, object]).decode
_SPACE = b" \t\r\n"
_NAMED = re.compile(rb'("(?:[^"\\]|\\.)*")[ \t\r\n]*(:)?', re.DOTALL)


class Refused(Exception):
    """One item, or one body, is not good. The reason says what to send instead."""

    def __init__(self, reason: str, field: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.field = reason, field


class _LargeNumber(Exception): ...


def inspect(raw: bytes) -> dict[str, object]:
    """The object that *raw* is. Raises `Refused`, or what msgspec raises on what is no object."""
    value = _decode(raw)
    try:
        names = _count(value, DEPTH)
    except _LargeNumber:
        path = _path(value, _too_large)
        raise Refused("A whole number has more than 64 bits. Send it as text.", path) from None
    if raw.translate(None, _SPACE).count(b'":') != names:  # each name is followed by ": at least
        _check_names(raw, value, names)
    if rb"\u0000" in raw and (path := _path(value, _has_nul)) is not None:
        raise Refused("There is a NUL, or half of a surrogate pair, in a text. Remove it.", path)
    return value


def _count(value: dict[str, object] | list[object], depth: int) -> int:
    """How many names stand in *value*, at any level."""
    if depth == 0:
        raise Refused(f"This nests deeper than {DEPTH} levels. Send a flatter one.")
    if type(value) is dict:
        names, parts = len(value), iter(value.values())
    else:
        names, parts = 0, iter(value)
    for part in parts:
        if type(part) in _PLAIN:
            continue
        if isinstance(part, (dict, list)):
            names += _count(part, depth - 1)
        elif _too_large(part):
            raise _LargeNumber
    return names


def _too_large(leaf: object) -> bool:
    return isinstance(leaf, int) and not LOWEST <= leaf <= HIGHEST


def _has_nul(leaf: object) -> bool:
    return isinstance(leaf, str) and "\0" in leaf


def _check_names(raw: bytes, value: dict[str, object], names: int) -> None:
    """Where a name stands twice, *value* has lost one of the names that are written in *raw*."""
    written = [msgspec.json.decode(m[1], type=str) for m in _NAMED.finditer(raw) if m[2]]
    if len(written) != names:
        twice = next(iter(Counter(written) - Counter(_names(value))))
        raise Refused(f"The name {twice[:100]!r} stands twice in one object. Send it once.", twice)


def _names(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    for part in _parts(value):
        yield from _names(part)


def _parts(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _path(value: object, wrong: Callable[[object], bool]) -> str | None:
    """Where the first wrong leaf or name stands, as ``properties.products.3.sku``."""
    if isinstance(value, dict):
        if (name := next(filter(wrong, value), None)) is not None:
            return str(name)
        steps = [(str(name), part) for name, part in value.items()]
    else:
        steps = [(str(place), part) for place, part in enumerate(_parts(value))]
    for step, part in steps:
        if (rest := _path(part, wrong)) is not None:
            return f"{step}.{rest}" if rest else step
    return "" if wrong(value) else None
