"""Figures through the API beside the same SQL run directly, over ten million events.

The events are made by SQL in a file of the store's own form (a hundred thousand people of whom a
few were merged, a year, baskets of two lines), batch by batch as the platform writes them, and a
platform is started on it. The direct runs are plain DuckDB on that file, with its own defaults, in
a process that does nothing else. DuckDB lets one process in, so the two are asked in turns.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import urlencode
from uuid import UUID

import duckdb
import msgspec

from benchmarks.platform import ROOT, Platform, platform, restarted
from benchmarks.questions import Answer
from martech.modules.access.domain import tenant_id
from martech.modules.analytics.adapters.engine import JOINED
from martech.modules.analytics.adapters.schema import TABLES

EVENTS = int(os.environ.get("BENCH_EVENTS", "10000000"))
BATCH = 10_000
TURNS = 3
TIMES = 3  # a turn
BAR = 1.3
YEAR = {"event": "Order Completed", "from": "2025-01-01", "to": "2026-01-01"}
MINE = "tenant = $tenant AND type = 'track' AND event = 'Order Completed'"
MINE += " AND timestamp >= '2025-01-01' AND timestamp < '2026-01-01'"

FILL = """
    INSERT INTO events SELECT
        $tenant, md5((i % 100000)::VARCHAR)::UUID, 'user_id', (i % 100000)::VARCHAR, 'track',
        CASE WHEN i % 4 = 0 THEN 'Product Viewed' ELSE 'Order Completed' END,
        TIMESTAMP '2025-01-01' + to_seconds((i * 31536000 // $events)::BIGINT),
        TIMESTAMP '2026-01-01', 'm' || i,
        '{"order_id":"' || i || '","revenue":' || (i % 10000) / 100 || ',"products":['
        || '{"category":"C' || i % 31 || '","total":' || (i % 5000) / 100 || '},'
        || '{"category":"C' || i % 7 || '","total":' || (i % 5000) / 100 || '}]}',
        'keep_what_people_did', 0
    FROM range($first, $first + $batch) made(i)
"""

MERGE = """
    INSERT INTO merges SELECT $tenant, md5(i::VARCHAR)::UUID, md5((i + 50000)::VARCHAR)::UUID,
        md5((i + 50000)::VARCHAR)::UUID, 'keep_what_people_did', 0
    FROM range(1000) merged(i)
"""

COUNTS = f"SELECT date_trunc('day', timestamp), count(*) FROM events WHERE {MINE} GROUP BY 1"
SUMS = f"""
    SELECT date_trunc('day', timezone('Europe/Berlin', timezone('UTC', timestamp))),
        sum(TRY_CAST(properties->>'$.revenue' AS DECIMAL(18, 6)))
    FROM events WHERE {MINE} GROUP BY 1
"""
PEOPLE = f"""
    SELECT date_trunc('month', timestamp) AS slot, count(DISTINCT coalesce(kept, profile))
    FROM events LEFT JOIN merges ON merges.merged = profile AND merges.tenant = events.tenant
    WHERE {MINE.replace("tenant =", "events.tenant =")} GROUP BY GROUPING SETS ((slot), ())
"""
GROUPS = f"""
    SELECT line->>'$.category', sum(TRY_CAST(line->>'$.total' AS DECIMAL(18, 6))) FROM (
        SELECT unnest(json_extract(properties, '$.products[*]')) AS line FROM events WHERE {MINE}
    ) GROUP BY 1
"""
BERLIN = {**YEAR, "measure": "sum", "property": "revenue", "timezone": "Europe/Berlin"}
MONTHS = {**YEAR, "measure": "people", "interval": "month"}
DAYS = {**MONTHS, "interval": "day"}
LINES = {**YEAR, "by": "products.category", "measure": "sum", "property": "products.total"}

QUESTIONS: dict[str, tuple[str, dict[str, str], str]] = {
    "count a day": ("series", YEAR, COUNTS),
    "sum a day of Berlin": ("series", BERLIN, SUMS),
    "people a month": ("series", MONTHS, PEOPLE),
    "people a day": ("series", DAYS, PEOPLE.replace("month", "day")),
    "sum by products.category": ("breakdown", LINES, GROUPS),
}
"""Each as it is asked through the API, and as plain SQL."""


def figures(kind: str, seconds: float) -> Answer:
    """The worst of a few questions, as a multiple of what they take directly."""
    asked, direct = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    with tempfile.TemporaryDirectory(prefix="martech-bench-") as folder, platform(kind) as running:
        store = Path(folder) / "analytics.duckdb"
        _fill(store, tenant_id("bench"))
        running.environment["MARTECH_ANALYTICS_STORE_URL"] = f"duckdb:///{store}"
        for _ in range(TURNS):
            with restarted(running, modules=running.modules):
                for name in QUESTIONS:
                    asked[name] += _times(partial(_ask, running, name))
                memory = running.memory()
                running.process.terminate()
                running.process.wait()
            for name, taken in _directly(store).items():
                direct[name] += taken
    return _answer(kind, _medians(asked), _medians(direct), memory)


def _answer(kind: str, asked: dict[str, float], direct: dict[str, float], memory: int) -> Answer:
    worst = max(QUESTIONS, key=lambda name: asked[name] / direct[name])
    ratio = asked[worst] / direct[worst]
    return Answer(
        f"analytics series and breakdown over {EVENTS:,} events",
        kind,
        f"≤ {BAR}× the same SQL run directly",
        f"{ratio:.2f}× at worst ({worst}: {asked[worst] * 1000:,.0f} ms)",
        ratio <= BAR,
        f"{direct[worst] * 1000:,.0f} ms (plain DuckDB, its own defaults)",
        {
            "seconds": {
                name: [round(asked[name], 3), round(direct[name], 3)] for name in QUESTIONS
            },
            "server_memory_mb": memory,
        },
    )


def _fill(store: Path, tenant: UUID) -> None:
    with duckdb.connect(str(store), config={"max_vacuum_tasks": JOINED}) as file:
        for statement in TABLES:
            file.execute(statement)
        for first in range(0, EVENTS, BATCH):
            batch = {"first": first, "batch": BATCH, "events": EVENTS}
            file.execute(FILL, {"tenant": tenant, **batch})
        file.execute(MERGE, {"tenant": tenant})


def _ask(running: Platform, name: str) -> None:
    route, query, _ = QUESTIONS[name]
    answer = running.get(f"/analytics/v1/{route}?{urlencode(query)}")
    assert answer["total"] > 0


def _times(do: Callable[[], None]) -> list[float]:
    """Of `TIMES`, after one that warms up."""
    do()
    taken = []
    for _ in range(TIMES):
        began = time.perf_counter()
        do()
        taken.append(time.perf_counter() - began)
    return taken


def _medians(taken: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(each) for name, each in taken.items()}


def _directly(store: Path) -> dict[str, list[float]]:
    command = [sys.executable, "-m", "benchmarks.analytics", str(store)]
    return msgspec.json.decode(subprocess.check_output(command, cwd=ROOT), type=dict)


def directly(store: str) -> None:
    """Say the seconds that each question took, as JSON."""
    tenant = tenant_id("bench")
    with duckdb.connect(store, read_only=True) as file:

        def ask(query: str) -> None:
            file.execute(query, {"tenant": tenant}).fetchall()

        taken = {name: _times(partial(ask, query)) for name, (_, _, query) in QUESTIONS.items()}
    sys.stdout.buffer.write(msgspec.json.encode(taken))


if __name__ == "__main__":
    directly(sys.argv[1])
