"""Spans of what is told and enqueued: they carry a trace from one transaction into the next."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from martech.kernel.telemetry.spans import Context, Recorder, Span, new_span_id

Carry = Callable[[str, str | None], str | None]
"""From a message's type, and the ``traceparent`` on whose behalf it is sent, to the one that goes
with it."""


def carried_on(kind: str, asked: str | None) -> str | None:
    """What is not recorded goes with the ``traceparent`` it was asked for."""
    return asked


class Sending:
    """One span for all messages of a type that one transaction sends in one trace, until the
    block ends."""

    def __init__(self, recorder: Recorder | None, destination: str) -> None:
        """*destination* is a module's table: ``tracking.outbox``, ``delivery.commands``."""
        self._recorder = recorder
        self._destination = destination
        self._spans: dict[tuple[str, str], Span] = {}

    @property
    def carry(self) -> Carry:
        return self._carry if self._recorder else carried_on

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for span in self._spans.values():
            span.end(kind.__name__ if kind else "")

    def _carry(self, kind: str, asked: str | None) -> str | None:
        came = Context.of(asked)
        if self._recorder is None or came is None or not came.sampled:
            return asked
        span = self._spans.get((kind, came.span))
        if span is None:
            span = self._spans[kind, came.span] = self._begin(self._recorder, kind, came)
        span.attributes["messaging.batch.message_count"] = (
            int(span.attributes["messaging.batch.message_count"]) + 1
        )
        return span.context.traceparent

    def _begin(self, recorder: Recorder, kind: str, came: Context) -> Span:
        attributes: dict[str, str | int] = {
            "messaging.system": "martech",
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.destination.name": self._destination,
            "messaging.batch.message_count": 0,
            "martech.type": kind,
        }
        context = came._replace(span=new_span_id())
        return Span(recorder, f"send {kind}", "producer", context, came.span, attributes)
