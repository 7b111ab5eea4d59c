"""contracts/<module>/port.json: what a module may be asked, with the shapes of all it takes."""

import inspect
from inspect import Parameter, signature
from typing import Any

import msgspec

from martech.kernel.messages import is_read
from martech.kernel.module import Module
from martech.kernel.published.schemas import components


def port(module: Module) -> dict[str, Any]:
    """Every question of the port, its arguments and its answer as JSON Schema."""
    asked = {
        name: signature(method, eval_str=True)
        for name, method in vars(module.port).items()
        if inspect.iscoroutinefunction(method)
    }
    types = [kind for question in asked.values() for kind in _types(question)]
    described, schemas = components(types, "#/schemas/{name}")
    shapes = iter(described)
    return {
        "port": module.port.__name__,
        "version": "1",
        "description": inspect.getdoc(module.port),
        "questions": {
            name: {
                "description": inspect.getdoc(getattr(module.port, name)),
                "reads": is_read(getattr(module.port, name)),
                "arguments": {p.name: _argument(p, next(shapes)) for p in _arguments(question)},
                "answer": next(shapes),
            }
            for name, question in asked.items()
        },
        "schemas": schemas,
    }


def _types(question: inspect.Signature) -> list[Any]:
    """Those of the arguments, then that of the answer."""
    return [*(p.annotation for p in _arguments(question)), question.return_annotation]


def _arguments(question: inspect.Signature) -> list[Parameter]:
    return [p for p in question.parameters.values() if p.name != "self"]


def _argument(parameter: Parameter, shape: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {"schema": shape, "required": parameter.default is Parameter.empty}
    if not said["required"]:
        said["default"] = msgspec.to_builtins(parameter.default)
    return said
