"""JSON Schema of what modules say and take."""

from collections.abc import Sequence
from typing import Any

import msgspec

Schema = dict[str, Any]


def components(types: Sequence[Any], place: str) -> tuple[Sequence[Schema], dict[str, Schema]]:
    """The schema of each of *types*, and those that they refer to as *place* says."""
    described, parts = msgspec.json.schema_components(types, schema_hook=_free, ref_template=place)
    return tuple(described), parts


def _free(kind: type) -> Schema:
    """`object` is free JSON; nothing else is without a shape."""
    if kind is object:
        return {"description": "Any JSON."}
    raise TypeError(f"{kind} has no JSON Schema: write it as a struct, or as object for free JSON.")
