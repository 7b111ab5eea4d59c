"""The API described: OpenAPI 3.1, from the same routes that are served.

Litestar's own pages load their scripts from elsewhere, so its OpenAPI routes are not used: the
description comes from a twin of the application that serves nothing.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from litestar import Litestar, Router
from litestar.openapi.config import OpenAPIConfig
from litestar.plugins import OpenAPISchemaPlugin
from litestar.routes import HTTPRoute
from litestar.typing import FieldDefinition

from martech.kernel.files import camel
from martech.kernel.http.problems import Problem
from martech.kernel.http.refusals import answered, refusals
from martech.kernel.http.requests import LARGEST_BODY, JsonRequest
from martech.kernel.http.units import READS
from martech.kernel.idempotency import LONGEST
from martech.kernel.module import ManifestError

TITLE = "martech"
DESCRIPTION = (
    "Times are RFC 3339 in UTC. Lists come in pages: `limit` is how many at most (1 to 1000), "
    "`after` is the `next` of the page before. A query parameter that a route does not take is "
    "refused, where a key's scope is asked for. Every error is a problem document (RFC 9457) "
    "whose `detail` says what is wrong and what to do. A request that changes something may "
    "carry an `Idempotency-Key`: sent again with the same key, it has its effect once and gets "
    "the first answer again. A body may have as many bytes as its `x-max-bytes` says."
)

Schema = dict[str, Any]

_GOOD = {"200": "Done, or found.", "201": "Made.", "204": "Done; there is nothing to say."}

KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A UUID of your choice; sent again, the first answer comes again.",
    "schema": {"type": "string", "maxLength": LONGEST},
}


class Strict(OpenAPISchemaPlugin):
    """Litestar describes a struct that refuses unknown fields as one that takes them."""

    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        struct = field_definition.annotation
        return (
            isinstance(struct, type)
            and issubclass(struct, msgspec.Struct)
            and struct.__struct_config__.forbid_unknown_fields
        )

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Any:
        theirs = next(
            plugin
            for plugin in schema_creator.plugins
            if plugin is not self and schema_creator.plugin_supports_field(plugin, field_definition)
        )
        schema = theirs.to_openapi_schema(field_definition, schema_creator)
        schema.additional_properties = False
        return schema


def describe(make: Callable[[], Sequence[Router]], version: str) -> Schema:
    """The document for the routers that *make* returns; they must be new ones."""
    config = OpenAPIConfig(
        title=TITLE, version=version, description=DESCRIPTION, use_handler_docstrings=True
    )
    twin = Litestar(
        route_handlers=make(),
        request_class=JsonRequest,
        request_max_body_size=LARGEST_BODY,
        openapi_config=config,
        logging_config=None,
        plugins=[Strict()],
    )
    document: Schema = _either(twin.openapi_schema.to_schema())
    components = document.setdefault("components", {})
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "An API key."},
        "basic": {"type": "http", "scheme": "basic", "description": "The key as user name."},
    }
    schemas = components.setdefault("schemas", {})
    schemas.pop("ValidationException", None)
    _, parts = msgspec.json.schema_components([Problem], ref_template="#/components/schemas/{name}")
    _add(schemas, parts)
    refused = components["responses"] = {}
    for route in twin.routes:
        if isinstance(route, HTTPRoute):
            operations = document["paths"].get(route.path_format, {})
            _add(schemas, _bodies(operations, route))
            refused.update(_complete(operations, route))
    return document


def _either(said: Any) -> Any:
    """*said* with ``anyOf`` for every union. Litestar writes ``oneOf``, which is exactly one: but a
    whole number is a number too. The dots of ``tuple[str, ...]`` it takes for a second type."""
    match said:
        case {"oneOf": [only, dots]} if dots == {} and len(said) == 1:
            return _either(only)
        case dict():
            return {"anyOf" if w == "oneOf" else w: _either(part) for w, part in said.items()}
        case list():
            return [_either(part) for part in said]
        case _:
            return said


def _add(schemas: Schema, parts: Schema) -> None:
    """Raises `ManifestError` where a name would mean two things."""
    for name, part in parts.items():
        if schemas.setdefault(name, part) != part:
            raise ManifestError(f"Two shapes are called {name} in openapi.json. Rename one.")


def _bodies(operations: Schema, route: HTTPRoute) -> Schema:
    """The bodies that handlers read for themselves, and declare as ``opt={"body": …}``: a shape, or
    one for each media type. Their parts are named by the module: another may have a `Message`."""
    schemas: Schema = {}
    for handler in route.route_handlers:
        if said := handler.opt.get("body"):
            shapes = said if isinstance(said, dict) else {"application/json": said}
            whose = "".join(map(camel, handler.resolve_tags()))
            bodies, parts = msgspec.json.schema_components(
                shapes.values(), ref_template=f"#/components/schemas/{whose}{{name}}"
            )
            schemas.update({f"{whose}{name}": part for name, part in parts.items()})
            content = {media: {"schema": body} for media, body in zip(shapes, bodies, strict=True)}
            for method in handler.http_methods & {"POST", "PUT", "PATCH"}:
                operations[method.lower()]["requestBody"] = {"required": True, "content": content}
    return schemas


def _complete(operations: Schema, route: HTTPRoute) -> Schema:
    """What Litestar does not know: who may call it, and how we say no. These are the refusals, by
    the name under which the operations refer to them."""
    refused: Schema = {}
    for handler in route.route_handlers:
        for method in handler.http_methods:
            operation = operations.get(method.lower())
            if operation is None:
                continue
            operation["summary"] = _words(operation["operationId"])
            if "requestBody" in operation:
                operation["requestBody"]["x-max-bytes"] = handler.resolve_request_max_body_size()
            responses = operation["responses"]
            responses.pop("400", None)
            for status, answer in responses.items():
                answer["description"] = _GOOD.get(status, answer["description"])
            if handler.opt.get("streams"):
                responses["200"]["content"]["text/event-stream"] = {"schema": {"type": "string"}}
            refused |= answered(refusals(handler, method, operation), responses)
            if scope := handler.opt.get("scope") or handler.opt.get("needs"):
                operation["security"] = [{"key": []}, {"basic": []}]
                operation["x-scope"] = scope
                if method not in READS and "scope" in handler.opt:
                    operation.setdefault("parameters", []).append(KEY)
    return refused


def _words(operation_id: str) -> str:
    """``listKeys`` is "List keys"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", operation_id).capitalize()
