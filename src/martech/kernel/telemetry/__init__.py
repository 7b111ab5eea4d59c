"""What the platform says about itself: whose work it is, spans, log lines, and numbers."""

from martech.kernel.telemetry.logs import configure_logs
from martech.kernel.telemetry.sending import Carry, Sending, carried_on
from martech.kernel.telemetry.spans import Context, Recorder, Span
from martech.kernel.telemetry.times import RequestTimes
from martech.kernel.telemetry.trace import Trace, current, failed, span, taking_up, traceparent

__all__ = [
    "Carry",
    "Context",
    "Recorder",
    "RequestTimes",
    "Sending",
    "Span",
    "Trace",
    "carried_on",
    "configure_logs",
    "current",
    "failed",
    "span",
    "taking_up",
    "traceparent",
]
