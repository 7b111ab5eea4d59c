"""What is written for a module that lives alone: its README, compose file and CI.

The skeletons are texts with ``{{name}}`` in them; what is filled in comes from the manifest.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from martech.kernel.extract.sources import neighbours
from martech.kernel.files import beside
from martech.kernel.module import Module
from martech.kernel.published.canvas import Canvas, canvas

PROGRAMS = (".ci/run",)
"""What is to be started by its name."""

SKELETONS = {
    "README.md": "README.md",
    "compose.yaml": "compose.yaml",
    ".ci/run": "ci-run",
    ".github/workflows/ci.yml": "ci.yml",
}
MONOLITH = "http://host.docker.internal:8000"
APART = """\
None has to be up for this module to answer. What it did not hear meanwhile it hears when they are
back, in order."""


def files(module: Module, openapi: str) -> dict[str, str]:
    """Path -> text; *openapi* is what the module publishes."""
    glance = canvas(module)
    around = neighbours(module)
    words = {
        "name": module.name,
        "NAME": module.name.upper(),
        "purpose": glance.purpose,
        "peers": _peers(around),
        "peers_outside": ",".join(f"{name}={MONOLITH}" for name in around),
        "neighbours": _neighbours(around, glance),
        "settings": "".join(f"\n| `{name}` | {default} |" for name, default in glance.settings),
        "route": _route(openapi),
    }
    return {
        path: _filled(beside(f"{__package__}.skeleton", file), words)
        for path, file in SKELETONS.items()
    }


def _peers(around: Sequence[str]) -> str:
    """The line that names them, if there are any."""
    named = ",".join(f"{name}=http://127.0.0.1:8000" for name in around)
    return f"\n    export MARTECH_PEERS={named}" if named else ""


def _neighbours(around: Sequence[str], glance: Canvas) -> str:
    if not around:
        return "None: it listens to nobody and asks nobody. Others listen to it, and ask it."
    table = [f"| neighbour | {glance.name} |", "| --- | --- |"]
    table += [_neighbour(name, glance) for name in around]
    return "\n".join([*table, "", APART])


def _neighbour(name: str, glance: Canvas) -> str:
    """A line of the table of neighbours: why it is one."""
    heard = sorted({event for _, event, _ in glance.hears if event.startswith(f"{name}.")})
    why = [f"hears {', '.join(f'`{event}`' for event in heard)}"] if heard else []
    why += ["asks its port"] if name in glance.asks else []
    return f"| {name} | {'; '.join(why) or 'hears of keys: who may ask for what'} |"


def _route(openapi: str) -> str:
    """One that a README can show: something that is answered with nothing more said."""
    paths: Mapping[str, Any] = json.loads(openapi)["paths"]
    plain = [path for path, asked in paths.items() if "get" in asked and _is_plain(asked["get"])]
    return next(iter(plain), "/health/ready")


def _is_plain(operation: Mapping[str, Any]) -> bool:
    return not any(each.get("required") for each in operation.get("parameters", ()))


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(f"{{{{{word}}}}}", value)
    return text
