"""What a schema demands of a single value: its kind, its bounds, its format, its list of values."""

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from martech.kernel.published.gate.bounds import EDGES, crossed
from martech.kernel.published.gate.places import Place

KINDS = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
KIND_OF = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
}


def _at_most(written: Any, read: Any) -> bool:
    return bool(written is not None and written <= read)


def _at_least(written: Any, read: Any) -> bool:
    return bool(written is not None and written >= read)


def _the_same(written: Any, read: Any) -> bool:
    return bool(written == read)


def _in_steps(written: Any, read: Any) -> bool:
    return written is not None and Fraction(str(written)) % Fraction(str(read)) == 0


def _unless_unset(written: Any, read: Any) -> bool:
    return bool(written) or not read


DEMANDS: Mapping[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "multipleOf": ("integer", _in_steps),
    "maxLength": ("string", _at_most),
    "minLength": ("string", _at_least),
    "pattern": ("string", _the_same),
    "format": ("string", _the_same),
    "contentEncoding": ("string", _the_same),
    "maxItems": ("array", _at_most),
    "minItems": ("array", _at_least),
    "uniqueItems": ("array", _unless_unset),
    "maxProperties": ("object", _at_most),
    "minProperties": ("object", _at_least),
}
"""Word -> the kind that it is about (all numbers are integers too, here), and whether who writes
with the first keeps to the second. Of patterns and formats nobody can say which is the wider."""

IMPLIED: Mapping[str, Mapping[str, Any]] = {"uuid": {"minLength": 32, "maxLength": 36}}
"""What a format says of lengths: a field that took ids may take any short text."""

ANYWAY: Mapping[str, Any] = {"minLength": 0, "minItems": 0, "minProperties": 0}
"""What holds of every text, array and object."""

SINGLE = {*DEMANDS, *EDGES, "type", "enum", "const"}


@dataclass(frozen=True)
class Difference:
    """A value that the writer may write and the reader does not read."""

    rule: str
    writer: Place
    reader: Place


def kinds(schema: Mapping[str, Any]) -> frozenset[str]:
    """The JSON types that *schema* lets through, by its words alone."""
    said, values = schema.get("type"), listed(schema)
    if said is not None:
        named = frozenset([said] if isinstance(said, str) else said)
    elif values is not None:
        named = frozenset(kind_of(value) for value in values)
    else:
        return KINDS
    return named | {"integer"} if "number" in named else named


def kind_of(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return "integer"
    return KIND_OF.get(type(value), "object")


def listed(schema: Mapping[str, Any]) -> list[Any] | None:
    """Its values, if it says them one by one."""
    if "const" in schema:
        return [schema["const"]]
    values: list[Any] | None = schema.get("enum")
    return values


def limits(writer: Place, reader: Place) -> Iterator[Difference]:
    """Where a value of *writer* is out of the bounds of *reader*; their kinds agree already."""
    written, read = _counted(writer.here), listed(reader.here)
    if read is not None and (written is None or _missing(written, read)):
        word = "const" if "const" in reader.here else "enum"
        beside = "const" if "const" in writer.here else "enum"
        yield Difference("values", writer.at(beside), reader.at(word))
    elif written is None:
        for word in _tighter(writer.here, reader.here):
            same = word in DEMANDS and DEMANDS[word][1] is _the_same
            yield Difference("format" if same else "bound", writer.at(word), reader.at(word))
    else:
        for word in sorted({word for value in written for word in _refused(value, reader.here)}):
            yield Difference("bound", writer.at("enum"), reader.at(word))


def _counted(schema: Mapping[str, Any]) -> list[Any] | None:
    """All values that it lets through, if somebody can count them."""
    values, let = listed(schema), kinds(schema)
    if values is None:
        return [None] if let == {"null"} else [True, False] if let == {"boolean"} else None
    return [value for value in values if kind_of(value) in let]


def _missing(written: Iterable[Any], read: Iterable[Any]) -> set[Hashable]:
    return {_meant(value) for value in written} - {_meant(value) for value in read}


def _meant(value: Any) -> Hashable:
    """One for all spellings of a JSON value: 1.0 is 1, and is not `true`."""
    match value:
        case bool():
            return ("boolean", value)
        case list():
            return ("array", tuple(_meant(one) for one in value))
        case dict():
            return ("object", frozenset((name, _meant(one)) for name, one in value.items()))
        case _:
            return ("scalar", value)


def _tighter(writer: Mapping[str, Any], reader: Mapping[str, Any]) -> Iterator[str]:
    """The words in which *reader* demands more than *writer* keeps to."""
    written = kinds(writer)
    whole = "number" not in written
    steps = {"multipleOf": 1} if whole else {}
    writer = {**ANYWAY, **steps, **IMPLIED.get(writer.get("format", ""), {}), **writer}
    for word, (kind, keeps) in DEMANDS.items():
        if word in reader and kind in written and not keeps(writer.get(word), reader[word]):
            yield word
    if "integer" in written:
        yield from crossed(writer, reader, whole=whole)


def _refused(value: Any, reader: Mapping[str, Any]) -> Iterator[str]:
    """The words by which *reader* refuses this one value. A format takes nobody's word for it."""
    exact: dict[str, Any] = {"enum": [value]}
    if isinstance(value, str):
        exact |= {"minLength": len(value), "maxLength": len(value)}
        pattern = reader.get("pattern")
        if pattern is not None and re.search(pattern, value):
            exact["pattern"] = pattern
    elif isinstance(value, int | float):
        exact |= {"minimum": value, "maximum": value, "multipleOf": value}
    yield from _tighter(exact, reader)
