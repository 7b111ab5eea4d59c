"""Every file that is derived from the manifests, with what it must say."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from martech.kernel.module import Module
from martech.kernel.published.asyncapi import asyncapi
from martech.kernel.published.canvas import canvas
from martech.kernel.published.openapi import openapi_of
from martech.kernel.published.page import overview, page
from martech.kernel.published.port import port


def files(modules: Sequence[Module], openapi: Mapping[str, Any]) -> dict[str, str]:
    """Path in the repository -> text. *openapi* is the whole host's document."""
    canvases = [canvas(module) for module in modules]
    derived = {"docs/modules.md": overview(canvases)}
    for module, glance in zip(modules, canvases, strict=True):
        derived[f"docs/modules/{module.name}.md"] = page(glance)
        derived[f"contracts/{module.name}/asyncapi.json"] = _pretty(asyncapi(module))
        derived[f"contracts/{module.name}/openapi.json"] = _pretty(openapi_of(openapi, module.name))
        derived[f"contracts/{module.name}/port.json"] = _pretty(port(module))
    return derived


def _pretty(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
