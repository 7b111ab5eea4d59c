"""contracts/<module>/openapi.json: the part of the host's document that is one module's."""

import json
import re
from collections.abc import Mapping
from typing import Any

_REF = re.compile(r'"#/components/schemas/([^"]+)"')


def openapi_of(document: Mapping[str, Any], module: str) -> dict[str, Any]:
    """The routes tagged *module*, and only the schemas that they reach."""
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
    schemas = components.get("schemas", {})
    components["schemas"] = {name: schemas[name] for name in sorted(_reached(paths, schemas))}
    info = {**document["info"], "title": module}
    return {"openapi": document["openapi"], "info": info, "paths": paths, "components": components}


def _reached(paths: Mapping[str, Any], schemas: Mapping[str, Any]) -> set[str]:
    reached: set[str] = set()
    fresh = set(_REF.findall(json.dumps(paths)))
    while fresh:
        reached |= fresh
        fresh = set(_REF.findall(json.dumps([schemas[name] for name in fresh]))) - reached
    return reached
