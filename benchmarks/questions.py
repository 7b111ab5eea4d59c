"""The questions, each with its bar and, measured in the same run, its limit."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psutil

from benchmarks import limits
from benchmarks.platform import ROOT, Platform, load, platform, restarted

LIMITS: dict[str, Callable[[], float]] = {
    "sqlite": limits.sqlite_insert,
    "postgresql": limits.postgresql_insert,
}


@dataclass
class Answer:
    question: str
    database: str
    bar: str
    measured: str
    met: bool
    limit: str = ""
    details: dict[str, Any] = field(default_factory=dict)


def track(kind: str, seconds: float) -> Answer:
    """One event a request, durable before the answer."""
    with platform(kind, bare=True) as bare:
        limit = asyncio.run(load(bare, "track", seconds=seconds))
    with platform(kind) as running:
        cpu = running.cpu()
        report = asyncio.run(load(running, "track", seconds=seconds))
        report["server_cpu_share"] = round((running.cpu() - cpu) / seconds, 2)
        report["durable"] = _durable(running, report["acknowledged_items"])
    rate, p99 = report["requests_per_second"], report["p99_ms"]
    return Answer(
        "/v1/track, one event a request, durable before the answer",
        kind,
        "≥ 5,000 req/s, p99 ≤ 25 ms",
        f"{rate:,.0f} req/s, p50 {report['p50_ms']} ms, p99 {p99} ms",
        rate >= 5000 and p99 <= 25 and report["durable"] and not report["misses"],
        f"{limit['requests_per_second']:,.0f} req/s (bare Litestar handler, same body)",
        report,
    )


def batch(kind: str, seconds: float) -> Answer:
    """A hundred events a request, durable before the answer."""
    limit = LIMITS[kind]()
    with platform(kind) as running:
        report = asyncio.run(load(running, "batch", seconds=seconds, connections=64))
        report["server_memory_mb"] = running.memory()
        report["durable"] = _durable(running, report["acknowledged_items"])
    rate = report["items_per_second"]
    return Answer(
        "/v1/batch of 100, durable",
        kind,
        "≥ 40,000 events/s",
        f"{rate:,.0f} events/s, p99 {report['p99_ms']} ms",
        rate >= 40_000 and report["durable"] and not report["misses"],
        f"{limit:,.0f} events/s (decode + raw insert, commit a batch)",
        report,
    )


HOUSE = "access,tracking,profiles"
"""With the counter: two hops, and nobody else who listens."""


def hops(kind: str, seconds: float) -> Answer:
    """A backlog told while nobody listened; then all listen, two hops deep."""
    with platform(kind, modules="access,tracking") as running:
        told = asyncio.run(load(running, "batch", seconds=seconds, connections=16))
        running.counter = True
        with restarted(running, modules=HOUSE):
            took = running.caught_up()
    items = told["acknowledged_items"]
    return Answer(
        "tracked → profiles → a third module caught up (two hops)",
        kind,
        "≥ 10,000 events/s",
        f"{items / took:,.0f} events/s",
        items / took >= 10_000,
        details={"items": items, "seconds": round(took, 2)},
    )


def beside(kind: str, seconds: float) -> Answer:
    """A request while a backlog is digested."""
    with platform(kind, modules="access,tracking") as running:
        asyncio.run(load(running, "batch", seconds=seconds, connections=16))
        running.counter = True
        with restarted(running, modules=HOUSE):
            report = asyncio.run(load(running, "empty", seconds=3, rate=200, connections=8))
            report["items_left_when_measured"] = sum(running.behind().values())
    return Answer(
        "an empty authenticated POST while the bus digests a backlog",
        kind,
        "p99 ≤ 15 ms",
        f"p50 {report['p50_ms']} ms, p99 {report['p99_ms']} ms",
        report["p99_ms"] <= 15 and report["items_left_when_measured"] > 0 and not report["misses"],
        details=report,
    )


def lag(kind: str, seconds: float) -> Answer:
    """How late the third module hears, at 5,000 events a second."""
    with platform(kind, modules=HOUSE, counter=True) as running:
        report = asyncio.run(load(running, "batch", seconds=seconds, rate=50, connections=16))
        running.caught_up()
        times = running.lags()
    p99 = percentile(times, 0.99)
    report["lag_p50_ms"] = percentile(times, 0.5)
    return Answer(
        "the same, lag at 5,000 events/s",
        kind,
        "p99 ≤ 1 s",
        f"p50 {report['lag_p50_ms']} ms, p99 {p99} ms",
        p99 <= 1000 and not report["misses"],
        "",
        report,
    )


def memory(kind: str, seconds: float) -> Answer:
    """Resident memory, idle and during the demo, all of it."""
    with platform(kind) as running:
        idle = running.memory()
    peak = _during_demo()
    return Answer(
        "resident memory idle / during the demo",
        kind,
        "≤ 150 MB / ≤ 500 MB",
        f"{idle} MB / {peak} MB",
        idle <= 150 and peak <= 500,
    )


def _during_demo() -> int:
    """The largest resident set of the demo's server, in MB; `BENCH_DEMO_LIMIT` makes it short."""
    limit = os.environ.get("BENCH_DEMO_LIMIT")
    demo = subprocess.Popen(
        [sys.executable, "-m", "demo", *(["--limit", limit] if limit else [])],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    peak, parent = 0, psutil.Process(demo.pid)
    while demo.poll() is None:
        for child in parent.children(recursive=True):
            try:
                if "martech" in child.cmdline():
                    peak = max(peak, child.memory_info().rss)
            except psutil.Error:
                continue
        threading.Event().wait(0.2)
    if demo.returncode:
        raise RuntimeError("the demo failed; run `make demo` to see why")
    return peak // 1_000_000


def _durable(running: Platform, acknowledged: int) -> bool:
    """Kill the server, start it again, and count: was everything that it acknowledged kept?"""
    running.process.kill()
    running.process.wait()
    with restarted(running, modules=running.modules):
        return bool(running.get("/tracking/v1/counts")["accepted"] >= acknowledged)


def percentile(histogram: dict[int, int], share: float) -> int:
    """The upper edge, in milliseconds, of the bucket in which *share* of all is reached."""
    total, seen = sum(histogram.values()), 0
    for edge in sorted(histogram):
        seen += histogram[edge]
        if seen >= total * share:
            return edge
    return 0
