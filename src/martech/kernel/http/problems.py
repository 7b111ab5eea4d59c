"""RFC 9457 ``application/problem+json``: the only error body that the platform has.

``type`` is a stable URI reference, ``detail`` says what is wrong and what to do about it,
``field`` is the path of the wrong value, and ``request`` is the id to quote when asking us.
"""

import logging
import re
from collections.abc import Container, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)
from litestar.types import ExceptionHandlersMap
from sqlalchemy.exc import DBAPIError, IntegrityError

from martech.kernel import errors, telemetry
from martech.kernel.admission import route_of
from martech.kernel.http.fields import refused_field
from martech.kernel.idempotency import Answer

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

_MISSING = re.compile(r"Missing required \w+ parameter '(?P<name>[^']+)'")


class FieldProblem(msgspec.Struct, frozen=True):
    """One of several wrong values."""

    detail: str
    field: str | None = None


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    type: str
    title: str
    status: int
    detail: str
    field: str | None = None
    errors: list[FieldProblem] = []
    request: str | None = None


class Replay(Exception):
    """This request was answered before; *answer* is what was said."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


def handlers() -> ExceptionHandlersMap:
    """How Litestar answers whatever is raised."""
    return {Replay: _replayed, HTTPException: _refused, Exception: _failed}


def response(
    error: errors.Error,
    *,
    status: int | None = None,
    title: str | None = None,
    slug: str | None = None,
    several: list[FieldProblem] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response[bytes]:
    """*error* as a document; the other arguments are for what has no class of its own."""
    trace = telemetry.current.get()
    problem = Problem(
        type=f"/problems/{slug or type(error).slug()}",
        title=title or error.title,
        status=status or error.status,
        detail=error.detail,
        field=error.field,
        errors=several or [],
        request=trace.request if trace else None,
    )
    return Response(
        msgspec.json.encode(problem),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers={**_headers(error), **(headers or {})},
    )


def _headers(error: errors.Error) -> dict[str, str]:
    headers = {"cache-control": "no-store"}
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    elif error.status == 503:
        headers["retry-after"] = "2"
    if error.status == 401:
        headers["www-authenticate"] = 'Bearer realm="martech", Basic realm="martech"'
    if error.status == 413:
        headers["connection"] = "close"  # or we would have to read what we refused
    return headers


def _failed(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Whatever the kernel, a module, the database or a bug has raised."""
    if isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:  # Litestar's clean-up
        return _answered(request, error.exceptions[0])
    known = _known(error)
    if known is None:
        trace = telemetry.current.get() or telemetry.Trace()
        log.error("%s %s failed", request.method, route_of(request.scope), exc_info=error)
        known = errors.Error(
            f"This is our fault. Send it again; if it stays, quote request {trace.request}."
        )
    elif known.status >= 500:
        log.warning("%s %s: %s", request.method, route_of(request.scope), known.detail)
    return response(known)


def _answered(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    match error:
        case Replay():
            return _replayed(request, error)
        case HTTPException():
            return _refused(request, error)
        case _:
            return _failed(request, error)


def _known(error: Exception) -> errors.Error | None:
    """What *error* is in the words of `kernel.errors`; None for a bug."""
    match error:
        case errors.Error():
            return error
        case msgspec.ValidationError():
            return refused_field(str(error))
        case TimeoutError():
            return errors.Timeout("This took too long. Try again.", retry_after=2)
        case _:
            return _refused_row(error)


def _refused_row(error: Exception) -> errors.Error | None:
    """What a database will not store, and who is to blame for it."""
    match error:
        case IntegrityError() if _is_unique(error):
            return errors.Conflict(
                "Another request has written the same thing at this moment. Read it, and try again."
            )
        case DBAPIError() if str(getattr(error.orig, "sqlstate", "")).startswith("22"):
            return errors.Invalid(
                "A value cannot be stored: a NUL character, or a number out of range. Mend it."
            )
        case OverflowError() if "SQLite" in str(error):
            return errors.Invalid("A number is out of range. Send one of at most 64 bits.")
        case _:
            return None


def _is_unique(error: IntegrityError) -> bool:
    return getattr(error.orig, "sqlstate", "") == "23505" or "UNIQUE constraint" in str(error.orig)


def _refused(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """What Litestar itself refuses, said in our words."""
    path, method = request.url.path, request.method
    if isinstance(error, NotFoundException):
        return response(errors.NotFound(_nothing_at(path, request.app.state.peers)))
    if isinstance(error, MethodNotAllowedException):
        allow = (error.headers or {}).get("allow", "")
        return response(
            errors.Malformed(f"{path} does not answer {method}. It answers {allow or 'others'}."),
            status=405,
            title="The method is not allowed",
            slug="method-not-allowed",
            headers={"allow": allow},
        )
    if isinstance(error, ValidationException) and (wrong := _complaints(request, error)):
        first = errors.Invalid(wrong[0].detail, field=wrong[0].field)
        return response(first, several=wrong if len(wrong) > 1 else None)
    if error.status_code == 413:
        limit = request.route_handler.resolve_request_max_body_size()
        return response(errors.TooLarge(f"The body is larger than {limit:,} bytes. Send less."))
    if error.status_code >= 500:
        return _unforeseen(request, error)
    return response(_worded(error), status=error.status_code)


def _nothing_at(path: str, peers: Container[str]) -> str:
    if (module := path.split("/")[1]) in peers:
        return (
            f"{module} is served by another host of this installation. Ask that one, or the one "
            "address that stands in front of both."
        )
    return f"There is no {path} here. /docs lists every route."


def _worded(error: HTTPException) -> errors.Error:
    word = type(errors.from_status(error.status_code, ""))
    kind = errors.Malformed if word is errors.Error else word
    return kind(error.detail or HTTPStatus(error.status_code).phrase)


def _unforeseen(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    if "disconnected" in error.detail:  # nobody is there to read this
        return response(errors.Malformed("The body ended before it was complete."))
    return _failed(request, RuntimeError(error.detail).with_traceback(error.__traceback__))


def _complaints(request: Request[Any, Any, Any], error: ValidationException) -> list[FieldProblem]:
    """What is wrong with the parameters, each said alone."""
    if missing := _MISSING.match(error.detail):
        name = missing["name"]
        return [FieldProblem(f"{name} is missing. It is required: send it.", name)]
    extra = error.extra or ()
    return [_complaint(request, item) for item in extra if isinstance(item, dict)]


def _complaint(request: Request[Any, Any, Any], item: Mapping[str, Any]) -> FieldProblem:
    """One of Litestar's, about a parameter: ``{"message": …, "key": "limit"}``."""
    key = str(item.get("key") or "")
    if key == "data":
        return FieldProblem("The body is missing. Send JSON.")
    asked = request.route_handler.parsed_fn_signature.parameters.get(key)
    sent_as = getattr(asked.kwarg_definition, "name", None) if asked else None
    refused = refused_field(
        str(item.get("message", "")), inside=sent_as or key, shape=asked.raw if asked else None
    )
    return FieldProblem(refused.detail, refused.field)


def _replayed(request: Request[Any, Any, Any], replay: Replay) -> Response[bytes]:
    answer = replay.answer
    headers = {**dict(answer.headers), "idempotency-replayed": "true"}
    media_type = headers.pop("content-type", "application/json")
    return Response(answer.body, status_code=answer.status, media_type=media_type, headers=headers)
