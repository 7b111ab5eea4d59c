"""The house rules that a program can read off a manifest: a rule takes it, says what is wrong."""

import inspect
import re
from collections.abc import Iterator, Sequence

from litestar import Router
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from martech.kernel.messages import Command, Event, Item, owner
from martech.kernel.module import Module

# Tables whose rows are no tenant's, and why. Everything else has the column that both walls need.
OF_NO_TENANT = {
    "cursors": "how far a subscription has read, of all tenants",
    "access.issuers": "the key pairs that sign the keys of all tenants",
}


def the_service_answers_the_port(module: Module) -> list[str]:
    """Word for word: names, order, defaults and types of every question."""
    wrong = []
    for name, asked in inspect.getmembers(module.port, inspect.isfunction):
        if name.startswith("_"):
            continue
        answered = inspect.getattr_static(module.service, name, asked)
        if answered is asked or not inspect.isfunction(answered):
            wrong.append(f"{module.service.__name__} does not answer {name}")
        elif _signature(answered) != _signature(asked):
            wrong.append(f"{name}{_signature(answered)} is asked as {name}{_signature(asked)}")
        elif not inspect.iscoroutinefunction(answered):
            wrong.append(f"{name} does not wait, but may be answered far away")
    return wrong


def the_port_has_the_modules_name(module: Module) -> list[str]:
    said = module.port.__name__
    return [] if said.lower() == module.name.replace("_", "") else [f"the port is called {said}"]


def the_schema_is_the_modules_own(module: Module) -> list[str]:
    schemas = {module.tables.schema, *(table.schema for table in module.tables.tables.values())}
    return [f"tables in {schema}" for schema in schemas if schema != module.name]


def every_table_has_a_tenant(module: Module) -> list[str]:
    wrong = []
    for table in module.tables.tables.values():
        column = table.columns.get("tenant")
        if {table.name, table.fullname} & OF_NO_TENANT.keys():
            continue
        if column is None:
            wrong.append(f"{table.name} has no tenant")
        elif column.nullable:
            wrong.append(f"{table.name}'s tenant may be missing")
    return wrong


def every_command_has_one_job(modules: Sequence[Module]) -> list[str]:
    names = {module.name for module in modules}
    intended = [command for command in _subclasses(Command) if owner(command) in names]
    carried_out = [job.command for module in modules for job in module.jobs]
    return [
        f"{command.__name__} has {carried_out.count(command)} jobs"
        for command in {*intended, *carried_out}
        if carried_out.count(command) != 1
    ]


def a_job_is_its_modules_own(module: Module) -> list[str]:
    return [
        f"{job.run.__name__} carries out {owner(job.command)}'s {job.command.__name__}"
        for job in module.jobs
        if owner(job.command) != module.name
    ]


def an_inward_job_stays_at_home(module: Module) -> list[str]:
    """It is given its command and its service: no port, no adapter, and no unit to open."""
    return [
        f"{job.run.__name__} is given {parameter.annotation}"
        for job in module.jobs
        if job.inward
        for parameter in _signature(job.run).parameters.values()
        if parameter.annotation not in {job.command, module.service}
    ]


def every_route_says_who_may(module: Module) -> list[str]:
    return [
        f"{handler.handler_name} of {path}"
        for path, handler in _handlers(module)
        if not re.fullmatch(r"[a-z]+:[a-z]+", handler.opt.get("scope", ""))
        and handler.opt.get("public") is not True
    ]


def a_scope_is_the_modules_own(module: Module) -> list[str]:
    return [
        f"{path} asks for {scope}"
        for path, handler in _handlers(module)
        if (scope := handler.opt.get("scope")) and not scope.startswith(f"{module.name}:")
    ]


def every_operation_has_a_name(modules: Sequence[Module]) -> list[str]:
    """An explicit one, and nobody else's: clients are generated from it."""
    names = [(path, name) for module in modules for path, name in _operations(module)]
    said = [name for _, name in names]
    return [f"{path} is {name}" for path, name in names if not name or said.count(name) > 1]


def a_subject_is_a_field(module: Module) -> list[str]:
    """The ordering key: one that is misspelled would fail at the first event."""
    facts = [fact for kind in [Event, Item] for fact in _subclasses(kind)]
    return [
        f"{fact.__name__} has no {fact.SUBJECT}"
        for fact in facts
        if owner(fact) == module.name and fact.SUBJECT not in ["", *fact.__struct_fields__]
    ]


def _routes(module: Module) -> Iterator[tuple[HTTPRoute, HTTPRouteHandler]]:
    router = Router("/", route_handlers=[*module.controllers, *module.protocols])
    for route in router.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else []:
            if handler.http_methods != {"OPTIONS"}:
                yield route, handler


def _handlers(module: Module) -> Iterator[tuple[str, HTTPRouteHandler]]:
    return ((route.path, handler) for route, handler in _routes(module))


def _operations(module: Module) -> Iterator[tuple[str, str | None]]:
    """Each path with the name of its operation; one handler of two paths makes two names."""
    for route, handler in _routes(module):
        name = handler.operation_id
        if callable(name):
            name = name(handler, next(iter(handler.http_methods)), route.path_components)
        yield route.path, name


def _signature(function: object) -> inspect.Signature:
    assert callable(function)
    return inspect.signature(function, eval_str=True)


def _subclasses(kind: type) -> Iterator[type]:
    for child in kind.__subclasses__():
        yield child
        yield from _subclasses(child)
