"""Whose work this is: the trace it belongs to, and the request and tenant behind it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from random import getrandbits
from uuid import UUID

from martech.kernel.telemetry.spans import (
    Attributes,
    Context,
    Kind,
    Recorder,
    Span,
    new_span_id,
)

TRACE = len("00-") + 32
"""Characters of a ``traceparent`` that name the trace."""

_REQUEST_ID = re.compile(rb"^[A-Za-z0-9._:/+=-]{1,64}$")


class Trace:
    """The ids of one piece of work: a request, a batch, a job, and what is recorded within.

    The trace id, read as a UUID, is the correlation of every event that comes of a request. Work
    that is recorded has a span id of its own; work that is not passes on the one it came with, so
    that the parent of whatever is recorded further on is a span that exists.
    """

    __slots__ = ("context", "parent", "recorder", "request", "span", "tenant")

    def __init__(
        self,
        request: str | None = None,
        traceparent: str | None = None,
        recorder: Recorder | None = None,
        *,
        sampled: bool | None = None,
    ) -> None:
        """*sampled* is whether a trace that begins here is recorded; else *recorder* decides."""
        came = Context.of(traceparent) if traceparent else None
        context = came or _begun(recorder, sampled)
        self.recorder = recorder if recorder is not None and context.sampled else None
        if came and self.recorder:
            context = came._replace(span=new_span_id())
        self.context = context
        self.parent = came.span if came else None
        self.request = request or context.trace
        self.tenant: UUID | None = None
        self.span: Span | None = None

    @property
    def trace(self) -> str:
        return self.context.trace

    @property
    def traceparent(self) -> str:
        return self.context.traceparent

    @property
    def correlation(self) -> UUID:
        return UUID(hex=self.context.trace)

    def within(self) -> "Trace":
        """The ids of a piece of this work."""
        inner = Trace(self.request, self.traceparent, self.recorder)
        inner.tenant = self.tenant
        return inner

    def begin(
        self, name: str, kind: Kind, attributes: Attributes, links: Sequence[Context] = ()
    ) -> None:
        """Begin this work's own span, if it is recorded."""
        if self.recorder is not None:
            self.span = Span(
                self.recorder, name, kind, self.context, self.parent, attributes, links
            )

    def end(self, error: str = "") -> None:
        """End the span, if there is one; it says whose work it was."""
        if self.span is not None:
            if self.tenant is not None:
                self.span.attributes["martech.tenant"] = str(self.tenant)
            self.span.end(error)

    @staticmethod
    def of(headers: Iterable[tuple[bytes, bytes]], recorder: Recorder | None = None) -> "Trace":
        """The trace that a request's *headers* (names in lower case) carry on, or a new one; that
        also where two say which."""
        request, parents = None, list[str]()
        for name, value in headers:
            if name == b"x-request-id" and _REQUEST_ID.match(value):
                request = value.decode()
            elif name == b"traceparent":
                parents.append(value.decode("latin-1"))
        return Trace(request, parents[0] if len(parents) == 1 else None, recorder)


current: ContextVar[Trace | None] = ContextVar("martech.trace", default=None)
"""The work being done, for whoever logs, publishes or asks on its behalf."""


def traceparent() -> str | None:
    """For whoever asks another process on behalf of the work being done; None if there is none."""
    trace = current.get()
    return trace.traceparent if trace else None


def failed(error: str) -> None:
    """The work being done has failed, though nobody will see it raise."""
    trace = current.get()
    if trace is not None and trace.span is not None:
        trace.span.error = error


@contextmanager
def span(
    name: str, kind: Kind = "internal", attributes: Attributes | None = None
) -> Iterator[Span | None]:
    """Record a piece of the work being done; what is asked or told inside comes of it.

    None, and almost free, where nothing is recorded. Attributes may be added until the end.
    """
    outer = current.get()
    if outer is None or outer.recorder is None:
        yield None
        return
    inner = outer.within()
    with _doing(inner, name, kind, attributes or {}):
        yield inner.span


def begun(name: str, kind: Kind, attributes: Attributes) -> Trace | None:
    """Like `span`, for what overlaps with other work: whoever is given it has to `end` it."""
    outer = current.get()
    if outer is None or outer.recorder is None:
        return None
    inner = outer.within()
    inner.begin(name, kind, attributes)
    return inner


@contextmanager
def taking_up(
    recorder: Recorder | None,
    name: str,
    kind: Kind,
    asked: Iterable[str | None],
    attributes: Attributes,
    *,
    request: str | None = None,
    tenant: UUID | None = None,
) -> Iterator[Trace]:
    """Record, and name in logs, work that was asked for earlier or elsewhere: *asked* are the
    ``traceparent`` of everything it is done for; *request* is what it goes by in the log."""
    trace, links = _of_all(recorder, request, list(dict.fromkeys(asked)))
    trace.tenant = tenant
    with _doing(trace, name, kind, attributes, links):
        yield trace


def _of_all(
    recorder: Recorder | None, request: str | None, asked: Sequence[str | None]
) -> tuple[Trace, Sequence[Context]]:
    """Where everything was asked for in one trace, that one, with the first as the parent. Where
    several meet none is the parent of what concerns all: a new trace, linked to those recorded."""
    if len({each and each[:TRACE] for each in asked}) == 1 and asked[0]:
        return Trace(request, asked[0], recorder), _contexts(asked[1:])
    if recorder is None:
        return Trace(request), []
    came = _contexts(asked)
    links = [context for context in came if context.sampled]
    sampled = bool(links) if came else None
    return Trace(request, None, recorder, sampled=sampled), links


def _contexts(asked: Iterable[str | None]) -> list[Context]:
    return [context for each in asked if (context := Context.of(each))]


@contextmanager
def _doing(
    trace: Trace, name: str, kind: Kind, attributes: Attributes, links: Sequence[Context] = ()
) -> Iterator[None]:
    trace.begin(name, kind, attributes, links)
    token, error = current.set(trace), ""
    try:
        yield
    except BaseException as exc:
        error = type(exc).__name__
        raise
    finally:
        current.reset(token)
        trace.end(error)


def _begun(recorder: Recorder | None, sampled: bool | None) -> Context:
    ids = f"{getrandbits(192):048x}"  # ids, not secrets; asking the system would cost a turn
    if recorder is None:
        return Context(ids[16:], ids[:16], "00")
    if sampled is None:
        sampled = recorder.samples(ids[16:])
    return Context(ids[16:], ids[:16], "01" if sampled else "00")
