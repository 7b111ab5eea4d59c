"""A port as it is spoken over HTTP: questions, whoever asks, and errors.

    POST /_ports/<module>/<question>     {"argument": value, …}
    200  the answer, as JSON
    4xx  5xx  application/problem+json; with `module` if it is what the module has said

It is derived from the `Protocol` in the contract, and `port.json` describes it.
"""

import inspect
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from inspect import Parameter, Signature, signature
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from martech.kernel import errors, telemetry
from martech.kernel.asking import Asking
from martech.kernel.auth import Principal
from martech.kernel.errors import Error, Invalid
from martech.kernel.messages import is_read
from martech.kernel.outbox import Origin

PREFIX = "/_ports"
MEDIA_TYPE = "application/problem+json"

TENANT = "martech-tenant"
PRINCIPAL = "martech-principal"
CORRELATION = "martech-correlation"
CAUSATION = "martech-causation"
TIME_LEFT = "martech-time-left"
"""Milliseconds in which whoever asks wants an answer; a length and no time of day, so clocks need
not agree."""

TRACEPARENT = "traceparent"


@dataclass(frozen=True, eq=False)
class Question:
    """One method of a port."""

    name: str
    reads: bool
    description: str | None
    signature: Signature
    arguments: type[msgspec.Struct]
    """What it takes, by name; what nobody knows is refused."""

    answers: msgspec.json.Decoder[Any]

    @property
    def parameters(self) -> Sequence[Parameter]:
        return list(self.signature.parameters.values())

    def encode(self, args: Sequence[object], named: Mapping[str, object]) -> bytes:
        """What is asked; raises `TypeError` as a call would. Defaults are left to who answers."""
        return msgspec.json.encode(self.signature.bind(*args, **named).arguments)

    def decode(self, body: bytes) -> dict[str, Any]:
        """The arguments in *body*. Raises `msgspec.DecodeError`."""
        return msgspec.structs.asdict(msgspec.json.decode(body, type=self.arguments))


@cache
def questions(port: type) -> Mapping[str, Question]:
    """Everything that *port* may be asked, by name."""
    asked = [m for m in vars(port).values() if inspect.iscoroutinefunction(m)]
    return {method.__name__: _question(method) for method in asked}


def _question(method: Any) -> Question:
    full = signature(method, eval_str=True)
    taken = [p for p in full.parameters.values() if p.name != "self"]
    fields = [
        (p.name, p.annotation)
        if p.default is Parameter.empty
        else (p.name, p.annotation, msgspec.field(default=p.default))
        for p in taken
    ]
    return Question(
        name=method.__name__,
        reads=is_read(method),
        description=inspect.getdoc(method),
        signature=full.replace(parameters=taken),
        arguments=msgspec.defstruct(
            method.__name__, fields, kw_only=True, forbid_unknown_fields=True
        ),
        answers=msgspec.json.Decoder(full.return_annotation),
    )


class Asked(NamedTuple):
    """Whoever asks from another host: an `Asking` that travels."""

    tenant: UUID
    principal: Principal | None = None
    origin: Origin = Origin()
    begun: bool = False
    """It was refused there if it had."""


def headers(tenant: UUID, asking: Asking | None, seconds: float) -> dict[str, str]:
    """What travels beside the arguments of a question."""
    left = str(int(seconds * 1000))
    said = {TENANT: str(tenant), TIME_LEFT: left, "content-type": "application/json"}
    trace = telemetry.traceparent() or (asking.origin.traceparent if asking else None)
    if trace is not None:
        said[TRACEPARENT] = trace
    if asking is None:
        return said
    if asking.principal is not None:
        said[PRINCIPAL] = urlsafe_b64encode(msgspec.json.encode(asking.principal)).decode()
    came_of = {CORRELATION: asking.origin.correlation, CAUSATION: asking.origin.causation}
    for name, value in came_of.items():
        if value is not None:
            said[name] = str(value)
    return said


def asked(said: Mapping[str, str]) -> Asked:
    """Who asks, by the headers *said*. Raises `Invalid` with the name of the one that is wrong."""
    tenant = _uuid(said, TENANT)
    if tenant is None:
        raise Invalid(f"{TENANT} is missing. Say for which tenant you ask.", field=TENANT)
    trace = telemetry.traceparent() or said.get(TRACEPARENT)  # that of the request came of it
    origin = Origin(_uuid(said, CORRELATION), _uuid(said, CAUSATION), trace)
    return Asked(tenant, _principal(said), origin)


def seconds_left(said: Mapping[str, str], most: float) -> float:
    """How long whoever asks still waits: at most *most*. Raises `Invalid`."""
    text = said.get(TIME_LEFT)
    if text is None:
        return most
    try:
        return min(most, int(text) / 1000)
    except ValueError:
        raise Invalid(f"{TIME_LEFT} must be whole milliseconds.", field=TIME_LEFT) from None


def _uuid(said: Mapping[str, str], name: str) -> UUID | None:
    text = said.get(name)
    try:
        return UUID(text) if text else None
    except ValueError:
        raise Invalid(f"{name} must be a UUID.", field=name) from None


def _principal(said: Mapping[str, str]) -> Principal | None:
    text = said.get(PRINCIPAL)
    try:
        return msgspec.json.decode(urlsafe_b64decode(text), type=Principal) if text else None
    except (msgspec.DecodeError, ValueError):
        raise Invalid(
            f"{PRINCIPAL} must be base64url of a principal's JSON.", field=PRINCIPAL
        ) from None


class Refusal(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A problem document. It bears *module* if that module has said so; what a proxy says, or a
    host that does not know the question, is no answer."""

    type: str
    title: str
    status: int
    detail: str
    module: str | None = None
    field: str | None = None
    retry_after: int | None = None


def refusal(module: str, error: Error) -> Refusal:
    """What *module* has raised; a kind that is its own travels as what it is a kind of."""
    ours = _known().values()
    kind = next(cls for cls in type(error).__mro__ if issubclass(cls, Error) and cls in ours)
    return Refusal(
        type=f"/problems/{kind.slug()}",
        title=kind.title,
        status=kind.status,
        detail=error.detail,
        module=module,
        field=error.field,
        retry_after=error.retry_after,
    )


def refused(body: bytes) -> Refusal | None:
    """The problem in *body*, or None if it is something else."""
    try:
        return msgspec.json.decode(body, type=Refusal)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def error_of(said: Refusal) -> Error:
    """The error that was raised over there."""
    kind = _known().get(said.type.rpartition("/")[2]) or type(errors.from_status(said.status, ""))
    return kind(said.detail, field=said.field, retry_after=said.retry_after)


@cache
def _known() -> dict[str, type[Error]]:
    """The tree of `kernel.errors`, by slug; modules may have kinds of their own."""
    return {cls.slug(): cls for cls in errors.every() if cls.__module__ == errors.__name__}
