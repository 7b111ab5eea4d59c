"""Whether anybody records, for as long as a process runs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

from martech.kernel.telemetry.spans import Recorder


@contextmanager
def recording(
    endpoint: str | None, ratio: float, *, modules: Sequence[str], version: str
) -> Iterator[Recorder | None]:
    """Who sends spans to *endpoint*, and what waits is sent at the end; None without one.

    *ratio* is the share of traces that are recorded, of those that begin here.
    """
    if endpoint is None:
        yield None
        return
    export = import_module("martech.kernel.telemetry.export")  # megabytes, for those who want it
    exporter = export.Exporter(endpoint, ratio, modules=modules, version=version)
    try:
        yield exporter
    finally:
        exporter.close()
