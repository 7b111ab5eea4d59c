"""Our contracts as somebody might change them: one to three steps anywhere in a shape."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from martech.kernel.published.gate import in_tree
from martech.kernel.published.gate.places import Place, root

CONTRACTS = in_tree(Path(__file__).parents[2])

NULL = {"type": "null"}
CHOICES = {"anyOf": "oneOf", "oneOf": "anyOf"}
EDGES = ("minimum", "exclusiveMinimum")
SWAPPED = {"string": "integer", "integer": "string", "number": "integer", "boolean": "string"}


@dataclass(frozen=True)
class Change:
    promise: str
    """``told``, ``taken`` or ``given``"""

    then: Place
    now: Place
    steps: Sequence[str]

    def __repr__(self) -> str:
        return f"{self.promise} {self.then.pointer}: {', '.join(self.steps)}"


@st.composite
def changes(draw: st.DrawFn) -> Change:
    promise, document, spot = draw(st.sampled_from(SPOTS))
    then, now = document, deepcopy(document)
    steps = []
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(list(_below(root(now).at(*spot)))))
        name, schema = draw(st.sampled_from(list(_mutated(place.here))))
        steps.append(f"{name} at {place.pointer}")
        schema = deepcopy(schema)
        place.here.clear()
        place.here.update(schema)
    places = root(then).at(*spot), root(now).at(*spot)
    if draw(st.booleans()):
        return Change(promise, *places, steps)
    return Change(promise, *reversed(places), ["backwards", *steps])


Spot = tuple[str, Any, Sequence[str | int]]
"""The promise, the document and the way to the schema."""


def _spots() -> Iterator[Spot]:
    """Every event with its headers, argument, parameter, answer and body that we promise."""
    for document in CONTRACTS.values():
        for name, message in document.get("components", {}).get("messages", {}).items():
            for part in {"headers", "payload"} & message.keys():
                yield "told", document, ("components", "messages", name, part)
        for name in document.get("components", {}).get("parameters", ()):
            yield "taken", document, ("components", "parameters", name, "schema")
        for path, item in document.get("paths", {}).items():
            for method, operation in item.items():
                yield from _bodies(document, ("paths", path, method))
                for index, parameter in enumerate(operation.get("parameters", ())):
                    if "schema" in parameter:
                        spot = ("paths", path, method, "parameters", index, "schema")
                        yield "taken", document, spot


def _bodies(document: Any, operation: Sequence[str]) -> Iterator[Spot]:
    place = root(document).at(*operation)
    for status in ("", *place.here["responses"]):
        said = ("responses", status) if status else ("requestBody",)
        spot = (*said, "content", "application/json", "schema")
        if place.at(*spot).here is not None:
            yield "given" if status else "taken", document, (*operation, *spot)


SPOTS = list(_spots())


def _below(place: Place, seen: frozenset[str] = frozenset()) -> Iterator[Place]:
    """The schema at *place* and every one that it leads to."""
    place = place.followed()
    if place.pointer in seen:
        return
    yield place
    seen |= {place.pointer}
    for name in place.here.get("properties", {}):
        yield from _below(place.at("properties", name), seen)
    for word in ("items", "additionalProperties"):
        if isinstance(place.here.get(word), dict):
            yield from _below(place.at(word), seen)
    for word in CHOICES:
        for index in range(len(place.here.get(word, ()))):
            yield from _below(place.at(word, index), seen)


def _mutated(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What one step may make of *schema*, with the step's name."""
    yield "nothing", dict(schema)
    if "properties" in schema:
        yield from _fields(schema)
    elif word := next((word for word in CHOICES if word in schema), None):
        yield from _choice(schema, word)
    elif "enum" in schema:
        yield from _values(schema)
    elif "type" in schema and schema["type"] not in ("null", "object"):
        yield from _kind(schema)
        yield from _bounds(schema)


def _fields(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    fields, required = schema["properties"], schema.get("required", [])
    more = {**fields, "news": {"type": "string", "default": ""}}
    yield "a field that may be missing", {**schema, "properties": more}
    yield "a field", {**schema, "properties": more, "required": [*required, "news"]}
    for name in fields:
        fewer = {other: fields[other] for other in fields if other != name}
        others = [other for other in required if other != name]
        yield f"without {name}", {**schema, "properties": fewer, "required": others}
        if name in required:
            yield f"{name} may be missing", {**schema, "required": others}
        else:
            yield f"{name} must be there", {**schema, "required": [*required, name]}
            other_default = {**fields[name], "default": "another"}
            yield f"{name} by default", {**schema, "properties": {**fields, name: other_default}}


def _choice(schema: dict[str, Any], word: str) -> Iterator[tuple[str, dict[str, Any]]]:
    beside = {other: said for other, said in schema.items() if other != word}
    for option in schema[word]:
        yield "one choice", {**beside, **option}
    if NULL not in schema[word]:
        yield "or null", {**schema, word: [*schema[word], NULL]}
    yield f"by {CHOICES[word]}", {**beside, CHOICES[word]: schema[word]}


def _values(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    values = schema["enum"]
    yield "another value", {**schema, "enum": [*values, "another"]}
    if len(values) > 1:
        yield "a value less", {**schema, "enum": values[1:]}
    yield "any text", {"type": "string"}
    yield "or null", {"anyOf": [schema, NULL]}


def _kind(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "or null", {"anyOf": [dict(schema), NULL]}
    yield "anything", {}
    if schema["type"] in SWAPPED:
        yield "another type", {"type": SWAPPED[schema["type"]]}
    if schema["type"] == "integer":
        yield "any number", {**schema, "type": "number"}
    if schema["type"] == "string":
        yield "one of two", {"enum": ["word", "another"]}
        bare = {word: said for word, said in schema.items() if word != "format"}
        yield "any text", {"type": "string"}
        if bare == schema:
            yield "a uuid", {"type": "string", "format": "uuid"}


def _bounds(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    bound = {"string": "maxLength", "array": "maxItems"}.get(schema["type"], "maximum")
    bare = schema["type"] != "boolean" and "format" not in schema
    if bare and schema.get("minimum", 0) < 3:
        yield f"{bound} 3", {**schema, bound: 3}
    if bound in schema:
        yield f"without {bound}", {word: said for word, said in schema.items() if word != bound}
    if schema["type"] in ("integer", "number"):
        yield from _edges(schema)


def _edges(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """From 0 or 1, or above one of them; never both."""
    others = {word: said for word, said in schema.items() if word not in EDGES}
    for word in EDGES:
        for edge in (0, 1):
            yield f"{word} {edge}", {**others, word: edge}
