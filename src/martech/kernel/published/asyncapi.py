"""What modules tell and hear, as AsyncAPI 3: of one for contracts/, of all for /asyncapi.json."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from martech.kernel.messages import Event, Folded, fact_type, upcasts, wire_name
from martech.kernel.module import Module
from martech.kernel.outbox import SOURCE
from martech.kernel.published.canvas import AMONG_HOSTS, canvas, events
from martech.kernel.published.schemas import components, described

DESCRIPTION = (
    "What the modules tell each other and the world. Outside systems hear it at "
    "GET /<module>/v1/events, as CloudEvents 1.0, all but what is marked x-inward: that is between "
    "the hosts of an installation. The schema of each type is at /_schemas/<type>. x-asks says "
    "which other modules' ports a module asks, as /_ports and port.json have them."
)

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
        "dataschema": {"type": "string", "format": "uri"},
        "tenant": {"type": "string", "format": "uuid"},
        "position": {"type": "integer", "minimum": 1},
        "correlationid": {"type": "string", "format": "uuid"},
        "causationid": {"type": "string", "format": "uuid"},
        "traceparent": {"type": "string"},
    },
}
"""The envelope's attributes, as headers of every message."""


def asyncapi(module: Module) -> dict[str, Any]:
    """One module's promises: ``contracts/<module>/asyncapi.json``."""
    return _document(
        {"title": module.name, "version": "1", "description": canvas(module).purpose},
        [_part(module, "")],
    )


def whole(modules: Sequence[Module], version: str) -> dict[str, Any]:
    """Everything that *modules* tell and hear, in one document; names of shapes and subscriptions
    begin with their module's."""
    return _document(
        {"title": "martech", "version": version, "description": DESCRIPTION},
        [_part(module, f"{module.name}.") for module in modules],
    )


@dataclass(frozen=True)
class _Part:
    """What one module brings to a document."""

    channels: dict[str, Any]
    heard: dict[str, Any]
    """Channels that somebody else owns."""

    commands: dict[str, Any]
    asks: dict[str, Any]
    operations: dict[str, Any]
    schemas: dict[str, Any]
    messages: dict[str, Any]


def _part(module: Module, prefix: str) -> _Part:
    glance, told = canvas(module), events(module)
    names = [wire_name(event) for event in told]
    payloads, schemas = components(
        [described(event) for event in told], f"#/components/schemas/{prefix}{{name}}"
    )
    shapes = zip(told, names, payloads, strict=True)
    return _Part(
        channels={name: _channel(name, f"{SOURCE}{module.name}") for name in names},
        heard={
            event: _channel(event, f"{SOURCE}{event.split('.')[0]}")
            for event in sorted({event for _, event, _ in glance.hears})
        },
        commands={name: {"reach": reach, "summary": text} for name, reach, text in glance.does},
        asks={module.name: list(glance.asks)},
        operations={
            **{f"tell.{name}": _operation("send", name) for name in names},
            **{
                f"hear.{prefix}{subscription}.{event}": _operation("receive", event, text)
                for subscription, event, text in glance.hears
            },
        },
        schemas={f"{prefix}{name}": shape for name, shape in schemas.items()},
        messages={name: _message(event, name, payload, told) for event, name, payload in shapes},
    )


def _document(info: dict[str, Any], parts: Sequence[_Part]) -> dict[str, Any]:
    channels = _merged(part.channels for part in parts)
    heard = _merged(part.heard for part in parts)
    messages = _merged(part.messages for part in parts)
    foreign = {name: channel for name, channel in heard.items() if name not in channels}
    return {
        "asyncapi": "3.0.0",
        "info": info,
        "channels": {**channels, **foreign},
        "x-commands": _merged(part.commands for part in parts),
        "x-asks": _merged(part.asks for part in parts),
        "operations": _merged(part.operations for part in parts),
        "components": {
            "schemas": {**_merged(part.schemas for part in parts), "CloudEvent": CLOUDEVENT},
            "messages": {
                **messages,
                **{name: {"name": name, "contentType": "application/json"} for name in foreign},
            },
        },
    }


def _merged(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {name: said for part in parts for name, said in part.items()}


def _channel(name: str, source: str) -> dict[str, Any]:
    return {
        "address": name,
        "description": f"From {source}.",
        "messages": {"event": {"$ref": f"#/components/messages/{name}"}},
    }


def _message(
    event: type[Event], name: str, payload: dict[str, Any], told: Sequence[type[Event]]
) -> dict[str, Any]:
    """Among all that its module has *told* may be later versions, as which it reads."""
    later = [wire_name(new) for new in told if any(old is event for old, _ in upcasts(new))]
    return {
        "name": name,
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/CloudEvent"},
        "payload": payload,
        "x-folded": issubclass(event, Folded),
        "x-subject": getattr(fact_type(event), "SUBJECT", ""),
        **({"x-inward": True} if event in AMONG_HOSTS else {}),
        **({"x-reads-as": later} if later else {}),
    }


def _operation(action: str, name: str, summary: str = "") -> dict[str, Any]:
    operation = {"action": action, "channel": {"$ref": f"#/channels/{name}"}}
    return {**operation, "summary": summary} if summary else operation
