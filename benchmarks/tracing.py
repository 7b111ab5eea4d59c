"""What it costs that one request in a hundred is recorded, and all that comes of it."""

import asyncio
from collections.abc import Mapping
from statistics import median
from typing import Any

from benchmarks.platform import load, platform
from benchmarks.questions import Answer
from tests.sinks.otlp import collector

ROUNDS = 3
"""Turn and turn about, each on a platform of its own: a machine that slows down slows both."""

RATIO = "0.01"


def tracing(kind: str, seconds: float) -> Answer:
    """/v1/track with and without a collector that is sent 1 % of the traces."""
    with_, without, spans = asyncio.run(_turns(kind, seconds / 2))
    cost = 1 - median(with_) / median(without)
    return Answer(
        "/v1/track with 1 % of its traces recorded, against none",
        kind,
        "≤ 15 % fewer requests",
        f"{cost:.1%} fewer",
        cost <= 0.15 and spans > 0,
        f"{median(without):,.0f} req/s (without a collector)",
        {"recorded": with_, "unrecorded": without, "spans": spans},
    )


async def _turns(kind: str, seconds: float) -> tuple[list[float], list[float], int]:
    with_, without = list[float](), list[float]()
    async with collector() as heard:
        settings = {"MARTECH_OTLP_ENDPOINT": heard.url, "MARTECH_TRACE_RATIO": RATIO}
        for _ in range(ROUNDS):
            without.append(await asyncio.to_thread(_rate, kind, seconds, {}))
            with_.append(await asyncio.to_thread(_rate, kind, seconds, settings))
    return with_, without, len(heard.spans)


def _rate(kind: str, seconds: float, settings: Mapping[str, str]) -> float:
    with platform(kind, settings=settings) as running:
        report: dict[str, Any] = asyncio.run(load(running, "track", seconds=seconds))
    return float(report["requests_per_second"])
