"""Log lines: one JSON object each, that says whose work it was."""

import logging
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import msgspec
import structlog

from martech.kernel.telemetry.trace import current


def configure_logs(level: str, stream: TextIO | None = None) -> None:
    """One JSON object a line, from our own code and from every library."""
    shared: list[Any] = [
        structlog.processors.TimeStamper(fmt="iso", key="time"),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        _whose,
        structlog.processors.format_exc_info,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _render],
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("alembic", "asyncio", "dramatiq", "uvicorn"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


def _whose(logger: object, method: str, event: dict[str, Any]) -> dict[str, Any]:
    trace = current.get()
    if trace is not None:
        event["request"], event["trace"] = trace.request, trace.trace
        if trace.tenant is not None:
            event["tenant"] = trace.tenant
    return event


def _render(logger: object, method: str, event: Mapping[str, Any]) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()
