"""An OTLP/HTTP collector that keeps the spans it is sent, and can be away."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from martech.kernel.telemetry.export import Exporter

PATIENCE = 30.0  # seconds until spans that do not come count as lost

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """A span as it arrived."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    links: list[tuple[str, str]]
    """Trace and span."""

    failed: bool
    began: int
    ended: int
    attributes: dict[str, Any]
    process: dict[str, Any]
    """The resource: what all spans of a process have in common."""


class Collector:
    def __init__(self) -> None:
        self.spans: list[Exported] = []
        self.bodies: list[bytes] = []
        self.headers: list[Mapping[str, str]] = []
        self.url = ""
        self._news = asyncio.Condition()

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.bodies.append(body)
        self.headers.append(request.headers.copy())
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            process = _values(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans += [_exported(span, process) for span in scope.spans]
        async with self._news:
            self._news.notify_all()
        said = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=said, content_type="application/x-protobuf")

    async def has(self, there: Callable[[], bool]) -> None:
        """Wait until *there* is so of what came."""
        async with self._news, asyncio.timeout(PATIENCE):
            await self._news.wait_for(there)

    def named(self, name: str) -> list[Exported]:
        return [span for span in self.spans if span.name == name]

    def path_to(self, span: Exported) -> list[str]:
        """The names from the first span that came of its trace down to *span*."""
        by_id = {each.id: each for each in self.spans}
        names = [span.name]
        while span.parent in by_id:
            assert by_id[span.parent].trace == span.trace, (by_id[span.parent], span)
            span = by_id[span.parent]
            names.append(span.name)
        return names[::-1]


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    """One that listens on a port of its own."""
    made, app = Collector(), web.Application(client_max_size=64_000_000)
    app.router.add_post("/v1/traces", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()


@asynccontextmanager
async def exporting(url: str, ratio: float = 0.0) -> AsyncIterator[Exporter]:
    """Whatever is recorded inside has arrived when the block ends."""
    exporter = Exporter(url, ratio, modules=["shop", "ledger"], version="1")
    try:
        yield exporter
    finally:
        await asyncio.to_thread(exporter.close)


def _exported(span: Any, process: dict[str, Any]) -> Exported:
    return Exported(
        name=span.name,
        kind=KINDS[span.kind],
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        failed=span.status.code == 2,
        began=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
        attributes=_values(span.attributes),
        process=process,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind)
