"""The bounds of a number: four words, but two edges, each of which is itself inside or is not."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

UPWARDS, DOWNWARDS = 1, -1

EDGES: Mapping[str, tuple[int, bool]] = {
    "maximum": (UPWARDS, True),
    "exclusiveMaximum": (UPWARDS, False),
    "minimum": (DOWNWARDS, True),
    "exclusiveMinimum": (DOWNWARDS, False),
}
"""Word -> on which side it is, and whether the edge itself is inside."""


@dataclass(frozen=True)
class _Edge:
    word: str
    reach: tuple[Any, bool]
    """How far out it lets a number go; of two, the smaller one lets fewer through."""


def crossed(writer: Mapping[str, Any], reader: Mapping[str, Any], *, whole: bool) -> Iterator[str]:
    """The words of *reader* that refuse a number of *writer*'s; *whole* if it writes no others."""
    for side in (UPWARDS, DOWNWARDS):
        written, read = _edge(writer, side, whole), _edge(reader, side, whole)
        if read and not (written and written.reach <= read.reach):
            yield read.word


def _edge(schema: Mapping[str, Any], side: int, whole: bool) -> _Edge | None:
    """The nearest one; a schema may say both words of a side."""
    found = [
        _Edge(word, _reach(side * schema[word], inside, whole))
        for word, (where, inside) in EDGES.items()
        if where == side and word in schema
    ]
    return min(found, key=lambda edge: edge.reach, default=None)


def _reach(value: Any, inside: bool, whole: bool) -> tuple[Any, bool]:
    """Of whole numbers the last one inside: above 0 is from 1."""
    if not whole:
        return value, inside
    return (math.floor(value) if inside else math.ceil(value) - 1), True
