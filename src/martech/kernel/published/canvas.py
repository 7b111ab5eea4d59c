"""A module at a glance, read off its manifest and the docstrings of what it names."""

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
from litestar import Controller, Router
from litestar.enums import HttpMethod
from litestar.routes import HTTPRoute

from martech.kernel.auth import IssuerKeyPublished, Revoked
from martech.kernel.files import camel
from martech.kernel.messages import Event, owner, wire_name
from martech.kernel.module import Module

KERNELS = {"outbox", "cursors", "parked", "commands", "idempotency", "audit"}
"""Tables that every module has."""

AMONG_HOSTS = (IssuerKeyPublished,)
"""The installation's own business, whichever tenant's transaction happened to tell it."""

_CONVERTER = re.compile(r":\w+}")
_QUALIFIED = re.compile(r"\b(?:\w+\.)+(\w+)")


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    operation: str
    needs: str
    """A scope, ``write key`` or ``nothing``."""


@dataclass(frozen=True)
class Canvas:
    name: str
    purpose: str
    tables: Sequence[tuple[str, Sequence[str]]]
    tells: Sequence[tuple[type[Event], str]]
    hears: Sequence[tuple[str, str, str]]
    """Subscription, the event's type, what we do about it."""

    asks: Sequence[str]
    answers: Sequence[tuple[str, str]]
    """The port's methods with their promises."""

    does: Sequence[tuple[str, str, str]]
    """Command, ``inward`` or ``outward``, what is done."""

    routes: Sequence[Route]
    settings: Sequence[tuple[str, str]]
    """Environment variable and default."""


def canvas(module: Module) -> Canvas:
    contract = sys.modules[module.port.__module__]
    return Canvas(
        name=module.name,
        purpose=_first(contract.__doc__),
        tables=[
            (str(table.name), [str(column.name) for column in table.columns])
            for table in module.tables.sorted_tables
            if table.name not in KERNELS
        ],
        tells=[(event, _first(_own_doc(event))) for event in events(module)],
        hears=[
            (subscription.name, wire_name(heard), _first(inspect.getdoc(subscription.handle)))
            for subscription in module.subscriptions
            for heard in subscription.events
        ],
        asks=sorted({owner(port) for port in [*module.needs.values(), *_in_jobs(module)]}),
        answers=[
            (f"{name}{_signature(method)}", _first(inspect.getdoc(method)))
            for name, method in vars(module.port).items()
            if inspect.iscoroutinefunction(method)
        ],
        does=[
            (
                wire_name(job.command),
                "inward" if job.inward else "outward",
                _first(inspect.getdoc(job.run)),
            )
            for job in module.jobs
        ],
        routes=[
            *_routes(f"/{module.name}/v1", module.controllers),
            *([hearing(module)] if outward(module) else []),
            *_routes("/", module.protocols),
        ],
        settings=[
            (f"MARTECH_{module.name.upper()}_{each.name.upper()}", str(each.default or ""))
            for each in (msgspec.structs.fields(module.settings) if module.settings else ())
        ],
    )


def _in_jobs(module: Module) -> list[type]:
    """The ports that outward jobs ask; what else they take are the module's own resources."""
    taken = [kind for job in module.jobs for kind in job.takes.values()]
    return [kind for kind in taken if kind not in module.resources]


def events(module: Module) -> list[type[Event]]:
    """What the module's contract can tell, in the order of the file; an issuer's news besides."""
    contract = sys.modules[module.port.__module__]
    own = [
        told
        for told in vars(contract).values()
        if isinstance(told, type)
        and issubclass(told, Event)
        and told.__module__ == contract.__name__
    ]
    return [*own, IssuerKeyPublished, Revoked] if module.issuer else own


def outward(module: Module) -> dict[str, type[Event]]:
    """What outside systems may hear, by CloudEvent ``type``: all that the contract tells, and
    revocations."""
    return {wire_name(event): event for event in events(module) if event not in AMONG_HOSTS}


def hearing(module: Module) -> Route:
    """The route by which outside systems hear *module*."""
    operation = f"hear{camel(module.name)}"
    return Route("GET", f"/{module.name}/v1/events", operation, f"{module.name}:hear")


def _routes(path: str, controllers: Sequence[type[Controller]]) -> list[Route]:
    return sorted(_read(path, controllers), key=lambda route: (route.path, route.method))


def _read(path: str, controllers: Sequence[type[Controller]]) -> Iterator[Route]:
    if not controllers:
        return
    for route in Router(path=path, route_handlers=list(controllers)).routes:
        if not isinstance(route, HTTPRoute):
            continue
        for handler in route.route_handlers:
            for method in sorted({str(m) for m in handler.http_methods} - {"OPTIONS", "HEAD"}):
                needs = handler.opt.get("scope") or handler.opt.get("needs") or "nothing"
                name = handler.operation_id
                if callable(name):
                    name = name(handler, HttpMethod(method), route.path_components)
                yield Route(method, _CONVERTER.sub("}", route.path), str(name), str(needs))


def _signature(method: Callable[..., object]) -> str:
    """As a reader would write it: without ``self`` and without the modules of types."""
    text = _QUALIFIED.sub(r"\1", str(inspect.signature(method)))
    return text.replace("(self, ", "(").replace("(self)", "()")


def _own_doc(kind: type) -> str | None:
    """The docstring of *kind* itself, not one that it inherits."""
    return kind.__dict__.get("__doc__")


def _first(doc: str | None) -> str:
    """The first paragraph, on one line."""
    return " ".join((doc or "").strip().split("\n\n")[0].split())
