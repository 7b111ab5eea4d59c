"""JSON Schema of what modules say and take."""

from collections.abc import Sequence
from typing import Any

import msgspec

from martech.kernel.messages import Event, Folded, fact_type, wire_name

Schema = dict[str, Any]


def schema_of(event: type[Event], uri: str) -> Schema:
    """The JSON Schema of what *event* carries; *uri* is where it is found."""
    (payload,), parts = components([described(event)], "#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": uri,
        "title": wire_name(event),
        **payload,
        "$defs": parts,
    }


def schema_uri(origin: str, event_type: str) -> str:
    """A CloudEvent's ``dataschema``. *origin* is where the world reaches us."""
    return f"{origin}/_schemas/{event_type}"


def components(types: Sequence[Any], place: str) -> tuple[Sequence[Schema], dict[str, Schema]]:
    """The schema of each of *types*, and those that they refer to as *place* says."""
    shapes, parts = msgspec.json.schema_components(types, schema_hook=_free, ref_template=place)
    return tuple(shapes), parts


def _free(kind: type) -> Schema:
    """`object` is free JSON; nothing else is without a shape."""
    if kind is object:
        return {"description": "Any JSON."}
    raise TypeError(f"{kind} has no JSON Schema: write it as a struct, or as object for free JSON.")


def described(event: type[Event]) -> type:
    """*event* as msgspec can describe it: it knows no JSON for a default that is `Raw`."""
    if not issubclass(event, Folded):
        return _twin(event)
    item: Any = _twin(fact_type(event))
    return _twin(event, items=list[item])


def _twin(struct: type, **types: Any) -> type:
    """A struct of the same name, words and fields, where a raw default is the JSON it holds."""
    fields: list[Any] = []
    for each in msgspec.structs.fields(struct):
        default: Any = each.default
        if isinstance(default, msgspec.Raw):
            fields.append((each.name, each.type, msgspec.field(default_factory=dict)))
        elif each.required:
            fields.append((each.name, types.get(each.name, each.type)))
        else:
            given: dict[str, Any] = {"default": default, "default_factory": each.default_factory}
            fields.append((each.name, each.type, msgspec.field(**given)))
    words: dict[str, Any] = {"__doc__": struct.__doc__}
    return msgspec.defstruct(struct.__name__, fields, namespace=words, kw_only=True)
