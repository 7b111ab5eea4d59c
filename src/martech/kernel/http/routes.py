"""From a manifest to routes, and what a host refuses to serve."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from litestar import Controller, Request, Router
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from martech.kernel.auth import Keyring, Principal
from martech.kernel.host import Host
from martech.kernel.http.units import begin, keep_answer, service_of
from martech.kernel.module import ManifestError, Module

_PARAMETER = re.compile(r"\{[^}]*\}")


def routes(host: Host, module: Module, keyring: Keyring) -> list[Router]:
    """The module's routes: its own under ``/<module>/v1``, its protocols' where they say.

    A handler may ask for ``service``, ``principal``, ``keyring`` and for the module's resources
    by their class name in snake case.
    """
    dependencies = _dependencies(host, module, keyring)
    mounted = (
        _router(f"/{module.name}/v1", module.controllers, module.name, dependencies),
        _router("/", module.protocols, module.name, dependencies),
    )
    return [router for router in mounted if router.routes]


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
    if options.get("public") and {"service", "principal"} & asked.keys():
        raise ManifestError(f"{where} is public and so has no tenant, but asks for a service.")


def _router(
    path: str,
    controllers: Sequence[type[Controller]],
    tag: str,
    dependencies: Mapping[str, Provide],
) -> Router:
    return Router(
        path=path,
        route_handlers=list(controllers),
        dependencies=dependencies,
        before_request=begin,
        after_request=keep_answer,
        tags=[tag],
    )


def _dependencies(host: Host, module: Module, keyring: Keyring) -> dict[str, Provide]:
    made: dict[str, Provide] = {
        "service": Provide(service_of(host, module.name)),
        "principal": Provide(_principal, sync_to_thread=False),
        "keyring": Provide(lambda: keyring, use_cache=True, sync_to_thread=False),
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
