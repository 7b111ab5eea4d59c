"""Real readers of a schema, and all kinds of what its writer may write.

The reader is msgspec, as everywhere in the house: a type made from the schema, into which bytes
are decoded. It is the judge of what the gate says.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Union
from uuid import UUID

import msgspec

from martech.kernel.published.gate.limits import listed
from martech.kernel.published.gate.places import Place

LONG, MANY, FAR = 5000, 50_001, 10**9
"""More than any bound that a contract or a mutation sets."""

LARGEST = 2**63 - 1
"""The largest bound that a reader has; one that is said as a float may be one more."""

CLOSE = 1e-6
"""Less than any two bounds are apart."""

LIKE_NO_OTHER = "of a format that msgspec does not check"
TEXTS = {"uuid": "0190163d-8694-739b-aea5-966c26f8ad91", "date-time": "2026-11-21T11:30:00Z"}


def survives(writer: Place, reader: Place, *, strict: bool) -> bool:
    """Whether a reader made from *reader* decodes all that a writer of *writer* may write."""
    decode = msgspec.json.Decoder(_type(reader, strict)).decode
    try:
        for written in witnesses(writer):
            decode(msgspec.json.encode(written))
    except msgspec.ValidationError:
        return False
    return True


def witnesses(place: Place) -> list[Any]:
    """Values of every kind that the schema lets through, each place of it varied on its own."""
    place = place.followed()
    schema = place.here
    options = _options(place)
    if options:
        return [value for option in options for value in witnesses(option)]
    if (values := listed(schema)) is not None:
        return values
    return BY_KIND[schema.get("type")](place)


def _options(place: Place) -> list[Place]:
    for word in ("anyOf", "oneOf"):
        if word in place.here:
            beside = {key: said for key, said in place.here.items() if key != word}
            options = [place.at(word, index).followed() for index in range(len(place.here[word]))]
            return [option.saying(_both(beside, option.here)) for option in options]
    return []


def _both(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """What the two demand together; of a bound that both say, the nearer one."""
    shared = {word: (one[word], other[word]) for word in one.keys() & other.keys()}
    lows = {word: max(pair) for word, pair in shared.items() if "min" in word.lower()}
    highs = {word: min(pair) for word, pair in shared.items() if "max" in word.lower()}
    return _on_one_side({**one, **other, **lows, **highs})


def _on_one_side(schema: dict[str, Any]) -> dict[str, Any]:
    """With the nearer of two lower bounds: a reader has one of them."""
    if "minimum" in schema and "exclusiveMinimum" in schema:
        above = schema["exclusiveMinimum"] >= schema["minimum"]
        further = "minimum" if above else "exclusiveMinimum"
        return {word: said for word, said in schema.items() if word != further}
    return schema


def _texts(place: Place) -> list[Any]:
    schema = place.here
    if "format" in schema:
        return [TEXTS.get(schema["format"], LIKE_NO_OTHER)]
    return ["w" * schema.get("minLength", 0), "w" * schema.get("maxLength", LONG)]


def _integers(place: Place) -> list[Any]:
    schema = place.here
    above = schema.get("exclusiveMinimum", schema.get("minimum", -LARGEST) - 1)
    highest = min(int(schema["maximum"]), LARGEST) if "maximum" in schema else LARGEST + 1
    return [int(above) + 1, highest]


def _numbers(place: Place) -> list[Any]:
    schema = place.here
    low, high = schema.get("minimum", -FAR), schema.get("maximum", FAR)
    if "exclusiveMinimum" in schema:
        low = schema["exclusiveMinimum"] + CLOSE
    return [low, high, low + (high - low) / 3]


def _lists(place: Place) -> list[Any]:
    elements = witnesses(_inside(place, "items"))
    fewest, most = place.here.get("minItems", 0), place.here.get("maxItems", MANY)
    sizes = [[elements[0]] * fewest, [elements[0]] * most]
    return [*sizes, *([element] * max(fewest, 1) for element in elements)]


def _objects(place: Place) -> list[Any]:
    if "properties" not in place.here:
        return [
            {},
            *({"word": value} for value in witnesses(_inside(place, "additionalProperties"))),
        ]
    each = {name: witnesses(place.at("properties", name)) for name in place.here["properties"]}
    required = {name: each[name][0] for name in place.here.get("required", ())}
    varied = ({**required, name: value} for name, values in each.items() for value in values)
    return [required, *varied]


BY_KIND: Mapping[str | None, Callable[[Place], list[Any]]] = {
    "string": _texts,
    "integer": _integers,
    "number": _numbers,
    "array": _lists,
    "object": _objects,
    "boolean": lambda _: [True, False],
    "null": lambda _: [None],
    None: lambda _: [None, True, 7, 1.5, "word", ["word"], {"word": 7}],
}


def _inside(place: Place, word: str) -> Place:
    return place.at(word) if isinstance(place.here.get(word), dict) else place.saying({})


def _type(place: Place, strict: bool) -> Any:
    place = place.followed()
    schema = place.here
    if options := _options(place):
        return Union[tuple(_type(option, strict) for option in options)]  # noqa: UP007
    if (values := listed(schema)) is not None:
        return Literal[tuple(values)]
    match schema.get("type"):
        case "object":
            return _struct(place, strict)
        case "array":
            element = _type(_inside(place, "items"), strict)
            bounds = _bounds(schema, min_length="minItems", max_length="maxItems")
            return Annotated[list[element], bounds]  # type: ignore[valid-type]
        case said:
            return _scalar(said, schema)


def _scalar(said: str | None, schema: dict[str, Any]) -> Any:
    if said == "string":
        if "format" in schema:
            unchecked = Annotated[str, msgspec.Meta(pattern=f"^{LIKE_NO_OTHER}$")]
            return {"uuid": UUID, "date-time": datetime}.get(schema["format"], unchecked)
        return Annotated[str, _bounds(schema, min_length="minLength", max_length="maxLength")]
    if said in ("integer", "number"):
        kind = int if said == "integer" else float
        return Annotated[kind, _bounds(schema, ge="minimum", gt="exclusiveMinimum", le="maximum")]
    return {"boolean": bool, "null": None}.get(said or "", Any)


def _bounds(schema: dict[str, Any], **words: str) -> msgspec.Meta:
    said = {ours: schema[word] for ours, word in words.items() if word in schema}
    whole = schema["type"] != "number"
    return msgspec.Meta(
        **{ours: min(int(bound), LARGEST) if whole else bound for ours, bound in said.items()}
    )


def _struct(place: Place, strict: bool) -> Any:
    if "properties" not in place.here:
        return dict[str, _type(_inside(place, "additionalProperties"), strict)]
    fields: list[Any] = []
    for number, name in enumerate(place.here["properties"]):
        default = {} if name in place.here.get("required", ()) else {"default": None}
        kind = _type(place.at("properties", name), strict)
        fields.append((f"field_{number}", kind, msgspec.field(name=name, **default)))
    return msgspec.defstruct("Reader", fields, kw_only=True, forbid_unknown_fields=strict)
