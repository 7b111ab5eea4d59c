"""Every file that is derived from the manifests, with what it must say."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from martech.kernel.module import Module
from martech.kernel.published.asyncapi import asyncapi
from martech.kernel.published.canvas import canvas
from martech.kernel.published.openapi import openapi_of
from martech.kernel.published.page import overview, page
from martech.kernel.published.port import port


def files(
    modules: Sequence[Module], describe: Callable[[Sequence[str]], Mapping[str, Any]]
) -> dict[str, str]:
    """Path in the repository -> text. *describe* gives the OpenAPI document of a host of the
    modules that it is told. Each is described alone: what it promises, down to the names of its
    shapes, does not depend on who else is there."""
    canvases = [canvas(module) for module in modules]
    derived = {"docs/modules.md": overview(canvases)}
    for module, glance in zip(modules, canvases, strict=True):
        derived[f"docs/modules/{module.name}.md"] = page(glance)
        derived[f"contracts/{module.name}/asyncapi.json"] = _pretty(asyncapi(module))
        alone = openapi_of(describe([module.name]), module.name)
        derived[f"contracts/{module.name}/openapi.json"] = _pretty(alone)
        derived[f"contracts/{module.name}/port.json"] = _pretty(port(module))
    return derived


def _pretty(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
