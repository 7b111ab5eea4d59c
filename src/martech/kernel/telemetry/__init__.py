"""What the platform says about itself: whose work it is, spans, log lines, and numbers."""

from martech.kernel.telemetry.logs import configure_logs
from martech.kernel.telemetry.recording import recording
from martech.kernel.telemetry.sending import Carry, Sending, carried_on
from martech.kernel.telemetry.spans import Attributes, Context, Recorder, Span
from martech.kernel.telemetry.times import RequestTimes
from martech.kernel.telemetry.trace import (
    Trace,
    begun,
    current,
    failed,
    span,
    taking_up,
    traceparent,
)

__all__ = [
    "Attributes",
    "Carry",
    "Context",
    "Recorder",
    "RequestTimes",
    "Sending",
    "Span",
    "Trace",
    "begun",
    "carried_on",
    "configure_logs",
    "current",
    "failed",
    "recording",
    "span",
    "taking_up",
    "traceparent",
]
