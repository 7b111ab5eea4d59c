"""Spans on their way to a collector: OTLP over HTTP, in batches, in a thread of its own.

Imported only where an endpoint is set: it costs megabytes. What OpenTelemetry's own variables say
beside the endpoint holds here too (`OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`,
`OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_BSP_…`).

A collector that is away costs spans and nothing else: they wait in a bounded queue, and the oldest
give way.
"""

from collections.abc import Sequence
from threading import Thread

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from martech.kernel.telemetry.spans import Context, Span

PATIENCE = 2.0
"""Seconds that a stopping process waits for a collector that does not answer."""

LOWEST = 64  # bits of a trace id: those by which every sampler decides


class Exporter:
    """A `Recorder` that sends to the collector at *endpoint* the spans of a share *ratio* of the
    traces that begin here, and of those that come sampled."""

    def __init__(
        self, endpoint: str, ratio: float, *, modules: Sequence[str], version: str
    ) -> None:
        self._bound = round(ratio * (1 << LOWEST))
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        self._batches = BatchSpanProcessor(exporter)
        self._resource = _resource(modules, version)
        self._scope = InstrumentationScope("martech", version)

    def samples(self, trace: str) -> bool:
        return int(trace[-LOWEST // 4 :], 16) < self._bound

    def record(self, span: Span) -> None:
        self._batches.on_end(
            ReadableSpan(
                name=span.name,
                context=_context(span.context),
                parent=_context(span.context._replace(span=span.parent)) if span.parent else None,
                resource=self._resource,
                attributes=span.attributes,
                links=[Link(_context(link)) for link in span.links],
                kind=SpanKind[span.kind.upper()],
                status=Status(
                    StatusCode.ERROR if "error.type" in span.attributes else StatusCode.UNSET
                ),
                start_time=span.began,
                end_time=span.ended,
                instrumentation_scope=self._scope,
            )
        )

    def flush(self) -> None:
        """Send what waits now, and wait for it."""
        self._batches.force_flush()

    def close(self) -> None:
        """Send what waits, for at most `PATIENCE` seconds. A request that a silent collector holds
        cannot be broken off; it ends with the process."""
        sending = Thread(target=self._batches.shutdown, daemon=True)
        sending.start()
        sending.join(PATIENCE)


def _resource(modules: Sequence[str], version: str) -> Resource:
    """What every span of this process has in common; the environment has the last word."""
    name = f"martech-{modules[0]}" if len(modules) == 1 else "martech"
    said = {SERVICE_NAME: name, "service.version": version, "martech.modules": list(modules)}
    return Resource.create(said).merge(OTELResourceDetector().detect())


def _context(context: Context) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(int(context.trace, 16), int(context.span, 16), False, flags)
