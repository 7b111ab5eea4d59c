"""Whether a reader reads all that a writer may write: two JSON Schemas, compared by their words.

A writer is closed: it writes the fields that it declares and no others, unless it says
``additionalProperties``. What cannot be compared is a difference (`unjudged`), never a guess.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from martech.kernel.published.gate.limits import SINGLE, Difference, kind_of, kinds, limits, listed
from martech.kernel.published.gate.places import Place

SILENT = {
    *("$schema", "$id", "$comment", "$defs", "definitions", "components"),
    *("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"),
}
"""Words that let everything through."""

NESTED = {
    *("properties", "required", "additionalProperties", "items", "prefixItems", "additionalItems"),
    *("anyOf", "oneOf", "allOf"),
}

NEARER = {
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
}
"""Which of two bounds says what both say."""

_Met = frozenset[tuple[str, str]]
"""Pairs of references that are being compared: a tree of schemas may lead back to its root."""


@dataclass(frozen=True)
class Manner:
    """How the reader reads."""

    lenient: bool
    """It passes over fields that it does not know."""

    keeps: bool
    """It relies on every field that it knows, also on those that it could do without."""

    fills: bool
    """It fills in its defaults, so that another default is another meaning."""

    closed: bool = True
    """Its writers write what they declare; others besides, where no ``additionalProperties`` says
    that they may not."""


def differences(writer: Place, reader: Place, manner: Manner) -> list[Difference]:
    """Every value that *writer* may write and *reader* does not read; none if it reads them all."""
    return list(_between(writer, reader, manner, frozenset()))


def _between(writer: Place, reader: Place, manner: Manner, met: _Met) -> Iterator[Difference]:
    referred = writer.refers() or reader.refers()
    writer, reader = writer.followed(), reader.followed()
    pair = (writer.pointer, reader.pointer)
    if writer.here is False or reader.here == {} or (referred and pair in met):
        return
    if reader.here is False:
        yield Difference("type", writer, reader)
        return
    yield from _parts(writer, reader, manner, met | {pair} if referred else met)


def _parts(writer: Place, reader: Place, manner: Manner, met: _Met) -> Iterator[Difference]:
    """Every part of the reader reads; every choice of the writer is read."""
    if "allOf" in reader.here:
        for part in _options(reader, "allOf"):
            yield from _between(writer, part, manner, met)
        return
    choices = _choices(writer)
    if choices != [writer]:
        for choice in choices:
            yield from _between(choice, reader, manner, met)
    elif "allOf" in writer.here:
        yield from _nearest(
            _between(part, reader, manner, met) for part in _options(writer, "allOf")
        )
    else:
        fit = [read for read in _choices(reader) if kinds(writer.here) <= kinds(read.here)]
        if fit:
            yield from _nearest(_single(writer, read, manner, met) for read in fit)
        else:
            yield Difference("type", writer, reader)


def _nearest(tried: Iterable[Iterable[Difference]]) -> list[Difference]:
    """The differences to the option that has the fewest."""
    return min((list(found) for found in tried), key=len)


def _choices(place: Place) -> list[Place]:
    """The schemas of which one has to hold, each of a single kind where its words say so."""
    schema = place.here
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return [one for option in _options(place, word) for one in _choices(option)]
    said, values = schema.get("type"), listed(schema)
    if isinstance(said, list) and len(said) > 1:
        return [place.saying({**schema, "type": kind}) for kind in said]
    if said is None and values is not None and len(kinds(schema)) > 1:
        return [place.saying({"enum": same}) for same in _by_kind(values)]
    return [place]


def _options(place: Place, word: str) -> list[Place]:
    """What stands under *word*, each with what the schema demands beside it."""
    beside = {key: said for key, said in place.here.items() if key != word and _speaks(key)}
    said = place.here[word]
    if isinstance(said, tuple):
        return [place.saying(part) for part in said]
    options = [place.at(word, index).followed() for index in range(len(said))]
    if not beside:
        return options
    if word == "allOf":
        return [*options, place.saying(beside)]
    return [one.saying(_both(one.here, beside)) for one in options]


def _both(schema: Any, beside: dict[str, Any]) -> Any:
    """One schema that demands what the two demand. Where it takes an ``allOf`` that stands nowhere
    in the document, this is a tuple."""
    if isinstance(schema, dict) and schema.keys() & beside.keys() <= NEARER.keys():
        near = {word: NEARER[word](schema[word], beside[word]) for word in schema.keys() & beside}
        return {**schema, **beside, **near}
    return {"allOf": (schema, beside)}


def _by_kind(values: Iterable[Any]) -> list[list[Any]]:
    grouped: dict[str, list[Any]] = {}
    for value in values:
        grouped.setdefault(kind_of(value), []).append(value)
    return list(grouped.values())


def _single(writer: Place, reader: Place, manner: Manner, met: _Met) -> Iterator[Difference]:
    """Neither is a choice any more, and the reader knows the kind."""
    if "allOf" in reader.here:
        yield from _between(writer, reader, manner, met)
        return
    yield from limits(writer, reader)
    for word in sorted(set(reader.here) - SINGLE - NESTED):
        if _speaks(word) and reader.here[word] != writer.here.get(word):
            yield Difference("unjudged", writer.at(word), reader.at(word))
    shared = kinds(writer.here)
    if "object" in shared:
        yield from _fields(writer, reader, manner, met)
        yield from _others(writer, reader, manner, met)
    if "array" in shared:
        yield from _items(writer, reader, manner, met)


def _fields(writer: Place, reader: Place, manner: Manner, met: _Met) -> Iterator[Difference]:
    """The fields that the reader knows, or asks for without saying what they are."""
    written, free = writer.here.get("properties", {}), _undeclared(writer)
    asked = reader.here.get("required", ())
    for name in {**reader.here.get("properties", {}), **dict.fromkeys(asked)}:
        field, beside = reader.at("properties", name), writer.at("properties", name)
        needed = name in asked
        always = name in writer.here.get("required", ())
        if name in written:
            if needed and not always:
                yield Difference("required", beside, field)
            elif manner.fills and not always and _default(beside) != _default(field):
                yield Difference("default", beside.at("default"), field.at("default"))
            yield from _between(beside, field, manner, met)
        elif manner.keeps or (needed and free is None):
            yield Difference("field" if manner.keeps else "required", beside, field)
        elif free is not None:
            if needed:
                yield Difference("required", free, field)
            yield from _between(free, field, manner, met)


def _others(writer: Place, reader: Place, manner: Manner, met: _Met) -> Iterator[Difference]:
    """What the writer may write besides the fields that the reader knows."""
    read, place = reader.here.get("properties", {}), reader.at("additionalProperties")
    declared = "properties" in reader.here
    if not manner.closed and place.followed().here != {} and _silent(writer):
        yield Difference("newly-strict", writer.at("additionalProperties"), place)
    if "additionalProperties" not in reader.here and (manner.lenient or not declared):
        return
    for name, schema in writer.here.get("properties", {}).items():
        if name in read or schema is False:
            continue
        if place.here in (None, False):
            yield Difference("field", writer.at("properties", name), reader.at("properties", name))
        else:
            yield from _between(writer.at("properties", name), place, manner, met)
    free = _undeclared(writer)
    if free is not None:
        if place.here in (None, False):
            yield Difference("type", free, place)
        else:
            yield from _between(free, place, manner, met)


def _silent(writer: Place) -> bool:
    """It declares fields, and says nothing of others."""
    return "properties" in writer.here and "additionalProperties" not in writer.here


def _undeclared(writer: Place) -> Place | None:
    """The schema of the fields that it writes without declaring them, if it does."""
    if "additionalProperties" in writer.here:
        extra = writer.at("additionalProperties")
        return None if extra.here is False else extra
    return None if "properties" in writer.here else writer.at("additionalProperties")


def _items(writer: Place, reader: Place, manner: Manner, met: _Met) -> Iterator[Difference]:
    written, others = _elements(writer)
    read, rest = _elements(reader)
    for index in range(max(len(written), len(read))):
        element = written[index] if index < len(written) else others
        yield from _between(element, read[index] if index < len(read) else rest, manner, met)
    yield from _between(others, rest, manner, met)


def _elements(array: Place) -> tuple[list[Place], Place]:
    """The schemas of the first elements, one by one, and that of all others."""
    for word, others in (("prefixItems", "items"), ("items", "additionalItems")):
        if isinstance(array.here.get(word), list):
            first = [array.at(word, index) for index in range(len(array.here[word]))]
            return first, array.at(others)
    return [], array.at("items" if "items" in array.here else "additionalItems")


def _default(place: Place) -> tuple[bool, Any]:
    said = place.here if isinstance(place.here, dict) else {}
    return "default" in said, said.get("default")


def _speaks(word: str) -> bool:
    return word not in SILENT and not word.startswith("x-")
