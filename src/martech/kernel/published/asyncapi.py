"""contracts/<module>/asyncapi.json: what a module tells and hears, as AsyncAPI 3."""

from typing import Any

import msgspec

from martech.kernel.messages import Event, Folded, fact_type, wire_name
from martech.kernel.module import Module
from martech.kernel.outbox import SOURCE
from martech.kernel.published.canvas import canvas, events
from martech.kernel.published.schemas import components

CLOUDEVENT = {
    "type": "object",
    "required": ["specversion", "id", "source", "type", "time", "tenant", "position"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "format": "uuid"},
        "source": {"type": "string", "format": "uri-reference"},
        "type": {"type": "string"},
        "subject": {"type": "string"},
        "time": {"type": "string", "format": "date-time"},
        "tenant": {"type": "string", "format": "uuid"},
        "position": {"type": "integer", "minimum": 1},
        "correlationid": {"type": "string", "format": "uuid"},
        "causationid": {"type": "string", "format": "uuid"},
        "traceparent": {"type": "string"},
    },
}
"""The envelope's attributes, as headers of every message."""


def asyncapi(module: Module) -> dict[str, Any]:
    glance, told = canvas(module), events(module)
    payloads, schemas = components(
        [_described(event) for event in told], "#/components/schemas/{name}"
    )
    names = [wire_name(event) for event in told]
    heard = sorted({event for _, event, _ in glance.hears})
    return {
        "asyncapi": "3.0.0",
        "info": {"title": module.name, "version": "1", "description": glance.purpose},
        "channels": {
            **{name: _channel(name, f"{SOURCE}{module.name}") for name in names},
            **{name: _channel(name, f"{SOURCE}{name.split('.')[0]}") for name in heard},
        },
        "x-commands": {
            name: {"reach": reach, "summary": text} for name, reach, text in glance.does
        },
        "operations": {
            **{f"tell.{name}": _operation("send", name) for name in names},
            **{
                f"hear.{subscription}.{event}": _operation("receive", event, text)
                for subscription, event, text in glance.hears
            },
        },
        "components": {
            "schemas": {**schemas, "CloudEvent": CLOUDEVENT},
            "messages": {
                **{
                    name: _message(event, name, payload)
                    for event, name, payload in zip(told, names, payloads, strict=True)
                },
                **{name: {"name": name, "contentType": "application/json"} for name in heard},
            },
        },
    }


def _described(event: type[Event]) -> type:
    """*event* as msgspec can describe it: it knows no JSON for a default that is `Raw`."""
    if not issubclass(event, Folded):
        return _twin(event)
    item: Any = _twin(fact_type(event))
    return _twin(event, items=list[item])


def _twin(struct: type, **types: Any) -> type:
    """A struct of the same name, words and fields, where a raw default is the JSON it holds."""
    fields: list[Any] = []
    for each in msgspec.structs.fields(struct):
        default: Any = each.default
        if isinstance(default, msgspec.Raw):
            fields.append((each.name, each.type, msgspec.field(default_factory=dict)))
        elif each.required:
            fields.append((each.name, types.get(each.name, each.type)))
        else:
            given: dict[str, Any] = {"default": default, "default_factory": each.default_factory}
            fields.append((each.name, each.type, msgspec.field(**given)))
    words: dict[str, Any] = {"__doc__": struct.__doc__}
    return msgspec.defstruct(struct.__name__, fields, namespace=words, kw_only=True)


def _channel(name: str, source: str) -> dict[str, Any]:
    return {
        "address": name,
        "description": f"From {source}.",
        "messages": {"event": {"$ref": f"#/components/messages/{name}"}},
    }


def _message(event: type[Event], name: str, payload: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/CloudEvent"},
        "payload": payload,
        "x-folded": issubclass(event, Folded),
        "x-subject": getattr(fact_type(event), "SUBJECT", ""),
    }


def _operation(action: str, name: str, summary: str = "") -> dict[str, Any]:
    operation = {"action": action, "channel": {"$ref": f"#/channels/{name}"}}
    return {**operation, "summary": summary} if summary else operation
