"""How a route may say no: every status with its problem type, for `openapi.json`.

Most of it comes of what a route is: who is guarded can be refused, who takes a body can be sent a
bad one. What its service raises beyond that it declares: ``opt={…, "raises": [NotFound]}``.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from litestar.handlers import HTTPRouteHandler

from martech.kernel import errors
from martech.kernel.http.problems import MEDIA_TYPE
from martech.kernel.http.units import READS

Schema = dict[str, Any]


class Late(errors.Error):
    """What `admission` says for itself, before there is a route."""

    status = 408
    title = "The request did not arrive"


Refusal = type[errors.Error]

ALWAYS: tuple[Refusal, ...] = (errors.Error, errors.Unavailable, errors.Timeout)
GUARDED: tuple[Refusal, ...] = (
    errors.Malformed,
    errors.Unauthorized,
    errors.Forbidden,
    errors.Invalid,
)
"""The last for a parameter that is not taken, or an Idempotency-Key that does not fit."""

KEYED: tuple[Refusal, ...] = (errors.Unauthorized, errors.Forbidden)
CHANGING: tuple[Refusal, ...] = (errors.Conflict,)
"""What was written at this moment."""

SENT: tuple[Refusal, ...] = (errors.Malformed, errors.TooLarge, Late)


def refusals(handler: HTTPRouteHandler, method: str, operation: Schema) -> list[Refusal]:
    """In the order of their statuses."""
    found = {*_of_being_a_route(handler, method, operation), *handler.opt.get("raises", ())}
    return sorted(found, key=lambda refusal: (refusal.status, refusal.__name__))


def _of_being_a_route(
    handler: HTTPRouteHandler, method: str, operation: Schema
) -> Iterator[Refusal]:
    opt, places = handler.opt, {said["in"] for said in operation.get("parameters", ())}
    yield from ALWAYS
    if "scope" in opt:
        yield from GUARDED
        if method not in READS:
            yield from (*CHANGING, *SENT)
    if "needs" in opt:
        yield from KEYED
    if "requestBody" in operation:
        yield from SENT
    if places or handler.parsed_data_field is not None:
        yield errors.Invalid
    if "path" in places:
        yield errors.NotFound
    if opt.get("streams") or "watch" in handler.parsed_fn_signature.parameters:
        yield errors.TooMany


def answered(refused: Iterable[Refusal], responses: Schema) -> Schema:
    """Adds *refused* to *responses*, beside what the route itself describes, such as a page for
    people; and is what these now refer to: the refusals by name."""
    named = {}
    for status, group in groupby(refused, key=lambda refusal: refusal.status):
        kinds = list(group)
        if said := responses.get(str(status)):
            said.setdefault("content", {}).update(_content(kinds))
            continue
        name = "Or".join(kind.__name__ for kind in kinds)
        named[name] = {"description": f"{kinds[0].title}.", "content": _content(kinds)}
        responses[str(status)] = {"$ref": f"#/components/responses/{name}"}
    return named


def _content(kinds: Sequence[Refusal]) -> Schema:
    """A problem of one of *kinds*, which have one status."""
    fixed = {
        "type": {"enum": [f"/problems/{kind.slug()}" for kind in kinds]},
        "status": {"const": kinds[0].status},
    }
    problem = {"$ref": "#/components/schemas/Problem"}
    return {MEDIA_TYPE: {"schema": {"allOf": [problem, {"properties": fixed}]}}}
