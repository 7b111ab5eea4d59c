"""Long-lived things of a host: group commits, pools of connections, compiled rules.

A resource names in its constructor what it is made from: `Groups`, `Clock`, `Settings`, `Process`,
the module's own settings, or a resource that the manifest lists before it. One that has a
``close`` is closed with its host.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from martech.kernel.module import ManifestError, Module


def make(module: Module, given: Mapping[type, object]) -> dict[type, object]:
    """The resources of *module*, made from *given* and from one another, in their order.

    Raises `ManifestError` for one that asks for something else.
    """
    made: dict[type, object] = {}
    for kind in module.resources:
        known = {**given, **made}
        made[kind] = kind(**{name: known[t] for name, t in _asked(module, kind, known).items()})
    return made


async def close(resource: object) -> None:
    """Let it give back what it holds."""
    closing: Any = getattr(resource, "close", None)
    if closing is not None:
        await closing()


def _asked(module: Module, kind: type, known: Mapping[type, object]) -> dict[str, type]:
    asked = {
        name: parameter.annotation
        for name, parameter in inspect.signature(kind, eval_str=True).parameters.items()
        if parameter.default is inspect.Parameter.empty
    }
    for name, annotation in asked.items():
        if annotation not in known:
            raise ManifestError(
                f"{module.name}'s {kind.__name__} asks for {name}: {annotation}, and a resource "
                "is made from Groups, Clock, Settings, Process, the module's settings or a "
                "resource listed before it."
            )
    return asked
