"""Long-lived things of a host: group commits, pools of connections, compiled rules.

A resource names in its constructor what it is made from: `Groups`, `Clock`, `Settings`, `Process`,
the module's own settings, or a resource that the manifest lists before it. One that has a
``close`` is closed with its host.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from martech.kernel.clock import Clock
from martech.kernel.grouping import Groups
from martech.kernel.module import ManifestError, Module
from martech.kernel.process import Process
from martech.kernel.settings import Settings, SettingsError


def check(module: Module) -> None:
    """Raise `ManifestError` for a resource that asks for what nobody can give it."""
    known: set[type | None] = {Groups, Clock, Settings, Process, module.settings}
    for kind in module.resources:
        for name, annotation in _asked(kind).items():
            if annotation not in known:
                raise ManifestError(
                    f"{module.name}'s {kind.__name__} asks for {name}: {annotation}, and a "
                    "resource is made from Groups, Clock, Settings, Process, the module's settings "
                    "or a resource listed before it."
                )
        known.add(kind)


def make(module: Module, given: Mapping[type, object]) -> dict[type, object]:
    """The resources of *module*, made from *given* and from one another, in their order.

    Raises `SettingsError` for a `ValueError` of theirs: a file that a setting names is no key.
    """
    made: dict[type, object] = {}
    for kind in module.resources:
        known = {**given, **made}
        try:
            made[kind] = kind(**{name: known[asked] for name, asked in _asked(kind).items()})
        except ValueError as exc:
            start = f"MARTECH_{module.name.upper()}_"
            raise SettingsError(f"A setting {start}… is wrong: {exc}") from None
    return made


async def close(resource: object) -> None:
    """Let it give back what it holds."""
    closing: Any = getattr(resource, "close", None)
    if closing is not None:
        await closing()


def _asked(kind: type) -> dict[str, type]:
    """What its constructor needs, by parameter."""
    return {
        name: parameter.annotation
        for name, parameter in inspect.signature(kind, eval_str=True).parameters.items()
        if parameter.default is inspect.Parameter.empty
    }
