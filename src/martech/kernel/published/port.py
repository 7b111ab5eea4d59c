"""contracts/<module>/port.json: OpenAPI of what a module may be asked by other hosts.

Whoever answers these requests can stand in for the module, in any language.
"""

import inspect
from collections.abc import Iterator
from inspect import Parameter
from typing import Any

import msgspec

from martech.kernel.module import Module
from martech.kernel.published.schemas import Schema, components
from martech.kernel.remote import wire
from martech.kernel.remote.wire import Question, Refusal

HEADERS = {
    wire.TENANT: ("For whom it is asked.", {"type": "string", "format": "uuid"}, True),
    wire.PRINCIPAL: (
        "Who acts, as base64url of JSON: tenant, key, kind, scopes, user.",
        {"type": "string"},
        False,
    ),
    wire.TIME_LEFT: (
        (
            "Milliseconds in which an answer is wanted. Work that is later is not begun, or broken "
            "off: 504."
        ),
        {"type": "integer", "minimum": 0},
        False,
    ),
    wire.CORRELATION: ("What all of this comes of.", {"type": "string", "format": "uuid"}, False),
    wire.CAUSATION: ("What this comes of.", {"type": "string", "format": "uuid"}, False),
    wire.TRACEPARENT: ("W3C Trace Context.", {"type": "string"}, False),
}


def port(module: Module) -> dict[str, Any]:
    """Every question of the port, its arguments and its answer."""
    asked = wire.questions(module.port).values()
    types = [Refusal, *(kind for question in asked for kind in _types(question))]
    (refusal, *shapes), schemas = components(types, "#/components/schemas/{name}")
    described = iter(shapes)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": module.port.__name__,
            "version": "1",
            "description": inspect.getdoc(module.port),
        },
        "security": [{"peer": []}],
        "paths": {
            f"{wire.PREFIX}/{module.name}/{question.name}": {"post": _asked(question, described)}
            for question in asked
        },
        "components": {
            "parameters": {name: _header(name) for name in HEADERS},
            "responses": {"refused": _refused(refusal)},
            "schemas": schemas,
            "securitySchemes": {
                "peer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "What MARTECH_PEER_SECRET says on every host.",
                }
            },
        },
    }


def _types(question: Question) -> list[Any]:
    """Those of the arguments, then that of the answer."""
    return [*(p.annotation for p in question.parameters), question.signature.return_annotation]


def _asked(question: Question, shapes: Iterator[Schema]) -> dict[str, Any]:
    arguments = {p.name: _argument(p, next(shapes)) for p in question.parameters}
    required = [p.name for p in question.parameters if p.default is Parameter.empty]
    taken = {"type": "object", "properties": arguments, "required": required}
    return {
        "operationId": question.name,
        "description": question.description or "",
        "x-reads": question.reads,
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in HEADERS],
        "requestBody": {
            "required": True,
            "content": _json({**taken, "additionalProperties": False}),
        },
        "responses": {
            "200": {"description": "The answer.", "content": _json(next(shapes))},
            "default": {"$ref": "#/components/responses/refused"},
        },
    }


def _argument(parameter: Parameter, shape: Schema) -> Schema:
    if parameter.default is Parameter.empty:
        return shape
    return {**shape, "default": msgspec.to_builtins(parameter.default)}


def _json(schema: Schema) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _header(name: str) -> dict[str, Any]:
    words, schema, required = HEADERS[name]
    return {
        "name": name,
        "in": "header",
        "description": words,
        "required": required,
        "schema": schema,
    }


def _refused(shape: Schema) -> dict[str, Any]:
    return {
        "description": (
            "It was refused. Only with `module` has the module said so, and whoever asked is told "
            "the same; without, it could not be asked. With `retry_after` it is well, and to be "
            "asked again in so many seconds."
        ),
        "content": {wire.MEDIA_TYPE: {"schema": shape}},
    }
