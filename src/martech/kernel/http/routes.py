"""From a manifest to routes, and what a host refuses to serve."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from litestar import Controller, Request, Router
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from martech.kernel.auth import Keyring, Principal
from martech.kernel.host import Host
from martech.kernel.http import operating
from martech.kernel.http.guards import guard
from martech.kernel.http.hearing import hearing_of
from martech.kernel.http.mounted import Mounted
from martech.kernel.http.queries import known_only
from martech.kernel.http.units import begin, keep_answer, service_of
from martech.kernel.http.watching import watch_of
from martech.kernel.module import ManifestError, Module
from martech.kernel.published.canvas import outward

_PARAMETER = re.compile(r"\{[^}]*\}")


def routes(host: Host, module: Module, keyring: Keyring) -> list[Router]:
    """The module's routes: its own under ``/<module>/v1``, with what it tells if it tells
    anything, and its protocols' where they say.

    A handler may ask for ``service``, ``principal``, ``watch``, and for the module's resources by
    their class name in snake case.
    """
    dependencies = _dependencies(host, module)
    guards = [guard(keyring, host.clock), known_only()]

    def mount(path: str, controller: type[Controller]) -> Router:
        """A router of its own, because what is open to all need not pay for the guard."""
        open_to_all = not any("scope" in handler.opt for handler in _handlers(controller))
        return Mounted(
            path=path,
            route_handlers=[controller],
            dependencies=dependencies,
            guards=[] if open_to_all else guards,
            before_request=None if open_to_all else begin,
            after_request=None if open_to_all else keep_answer,
            tags=[module.name],
        )

    heard = Mounted(
        path=f"/{module.name}/v1",
        route_handlers=[hearing_of(host, module)] if outward(module) else [],
        dependencies={"principal": dependencies["principal"]},
        guards=guards,
        before_request=begin,
        tags=[module.name],
    )
    things = service_of(host, module.name, operating.things_of(host, module.name))
    operated = Mounted(
        path=f"/{module.name}/v1",
        route_handlers=operating.parked_of(module) if operating.parks(module) else [],
        dependencies={"things": Provide(things)},
        guards=guards,
        before_request=begin,
        after_request=keep_answer,
        tags=[module.name],
    )
    own = [mount(f"/{module.name}/v1", controller) for controller in module.controllers]
    return [*own, heard, operated, *(mount("/", controller) for controller in module.protocols)]


def check(mounted: Mapping[str, list[Router]]) -> None:
    """Raise `ManifestError` if a path has two owners or a route says not who may call it.

    *mounted* is what each module, and the kernel itself, wants to serve.
    """
    owners: dict[str, str] = {}
    for name, routers in mounted.items():
        for route in (route for router in routers for route in router.routes):
            path = _PARAMETER.sub("{}", route.path)
            if owners.setdefault(path, name) != name:
                raise ManifestError(
                    f"{name} and {owners[path]} both claim {route.path}. A path has one owner."
                )
            if isinstance(route, HTTPRoute):
                for handler in route.route_handlers:
                    _check_handler(handler, f"{name}: {route.path}")


def _check_handler(handler: HTTPRouteHandler, where: str) -> None:
    if handler.http_methods == {"OPTIONS"}:
        return
    options = handler.opt
    if ("scope" in options) == bool(options.get("public")):
        raise ManifestError(
            f'{where} must say who may call it: opt={{"scope": "…"}} or opt={{"public": True}}.'
        )
    asked = handler.parsed_fn_signature.parameters
    if options.get("public") and {"service", "principal", "watch"} & asked.keys():
        raise ManifestError(f"{where} is public and so has no tenant, but asks for a service.")


def _handlers(controller: type[Controller]) -> Iterator[HTTPRouteHandler]:
    """Those that *controller* and what it inherits from declare."""
    for name in dir(controller):
        if isinstance(handler := getattr(controller, name), HTTPRouteHandler):
            yield handler


def _dependencies(host: Host, module: Module) -> dict[str, Provide]:
    made: dict[str, Provide] = {
        "service": Provide(service_of(host, module.name)),
        "principal": Provide(_principal, sync_to_thread=False),
        "watch": Provide(watch_of(host, module.name), sync_to_thread=False),
    }
    for kind in module.resources:
        provide = _resource(host, module.name, kind)
        made[snake(kind.__name__)] = Provide(provide, use_cache=True, sync_to_thread=False)
    return made


def _principal(request: Request[Any, Any, Any]) -> Principal:
    principal: Principal = request.auth
    return principal


def _resource(host: Host, module: str, kind: type) -> Callable[[], Any]:
    """A host makes its resources when it is entered, which is after this."""
    return lambda: host.resources[module][kind]


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
