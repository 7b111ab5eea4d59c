"""contracts/<module>/openapi.json: the part of the host's document that is one module's."""

import json
import re
from collections.abc import Mapping
from typing import Any

_REF = re.compile(r'"#/components/(schemas|responses)/([^"]+)"')


def openapi_of(document: Mapping[str, Any], module: str) -> dict[str, Any]:
    """The routes tagged *module*, and only the schemas and refusals that they reach."""
    paths = {}
    for path, item in sorted(document["paths"].items()):
        mine = {
            method: operation
            for method, operation in item.items()
            if isinstance(operation, dict) and module in operation.get("tags", ())
        }
        if mine:
            paths[path] = mine
    components = dict(document.get("components", {}))
    reached = _reached(paths, components)
    for kind in ("schemas", "responses"):
        named = components.get(kind, {})
        components[kind] = {name: named[name] for name in sorted(named) if (kind, name) in reached}
    info = {**document["info"], "title": module}
    return {"openapi": document["openapi"], "info": info, "paths": paths, "components": components}


def _reached(paths: Mapping[str, Any], components: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Kind and name of each component that *paths* refer to, or that is referred to by one."""
    reached: set[tuple[str, str]] = set()
    fresh = set(_REF.findall(json.dumps(paths)))
    while fresh:
        reached |= fresh
        said = [components[kind][name] for kind, name in fresh]
        fresh = set(_REF.findall(json.dumps(said))) - reached
    return reached
