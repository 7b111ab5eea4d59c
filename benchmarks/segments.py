"""How many microseconds an event costs personalization with 50 segments, and with none.

    python -m benchmarks.segments sqlite:////tmp/bench
    python -m benchmarks.segments postgresql://…

The database is migrated first; every story starts with a tenant of its own. CPU is this process's;
what PostgreSQL's own processes do comes on top and shows in the wall time only.
"""

import asyncio
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec

from martech.app import load
from martech.kernel import migrate
from martech.kernel.host import Host
from martech.kernel.jobs import Jobs
from martech.kernel.settings import Settings
from martech.modules.personalization.service import PersonalizationService
from martech.modules.profiles.contract import Activity, ActivityRecorded, Identity

BATCH, BATCHES = 500, 40
PEOPLE = 5_000
CROSSED = 5  # segments that everybody enters, one after the other


def conditions() -> list[dict[str, Any]]:
    """Fifty, over what `benchmarks.load` sends. The first ones are entered by everybody at their
    n-th event, so that there is always somebody on the way in; then windows, sums, filters and
    traits."""
    viewed: dict[str, Any] = {"event": "Product Viewed"}
    coffee = {"where": [{"property": "category", "is": "equals", "value": "coffee"}]}
    email = {"trait": "email", "is": "exists"}
    made = [viewed | {"at_least": n} for n in range(1, CROSSED + 1)]
    made += [viewed | {"at_least": 100 * n} for n in range(1, 21 - CROSSED)]
    made += [viewed | {"at_least": 10 * n, "within": f"P{n}D"} for n in range(1, 11)]
    made += [viewed | {"sum": "price", "at_least": 100 * n, "within": "P30D"} for n in range(1, 6)]
    made += [viewed | coffee | {"sum": "price", "more_than": 1000 * n} for n in range(1, 6)]
    made += [{"all": [email, viewed | {"at_most": n, "within": "PT1H"}]} for n in range(5)]
    made += [{"event": f"Other {n}", "at_least": 1} for n in range(5)]
    return made


def batches() -> Iterator[list[Activity]]:
    now = datetime.now(UTC)
    properties = {
        "product_id": "p-1042",
        "category": "coffee",
        "price": 12.5,
        "currency": "EUR",
        "position": 3,
        "url": "https://example.com/coffee/p-1042",
    }
    for start in range(0, BATCH * BATCHES, BATCH):
        items = [
            Activity(
                profile_id=UUID(int=number * 7919 % PEOPLE << 64),
                identity=Identity("user_id", f"user-{number * 7919 % PEOPLE}"),
                message_id=f"m-{number}",
                type="track",
                event="Product Viewed",
                timestamp=now - timedelta(seconds=1),
                received_at=now,
                properties=msgspec.Raw(msgspec.json.encode(properties)),
            )
            for number in range(start, start + BATCH)
        ]
        told = msgspec.json.encode({"items": items})
        yield msgspec.json.decode(told, type=ActivityRecorded).items


async def followed(host: Host, wanted: list[dict[str, Any]]) -> tuple[float, float]:
    """CPU and wall seconds from items to commit."""
    tenant, taken = uuid4(), list(batches())
    for number, condition in enumerate(wanted):
        async with host.unit("personalization", tenant) as service:
            await service.create_segment(f"segment {number}", condition)
    await Jobs(host).settle()
    cpu, wall = time.process_time(), time.perf_counter()
    for items in taken:
        async with host.unit("personalization", tenant) as service:
            await _follow(service, items)
    return time.process_time() - cpu, time.perf_counter() - wall


async def _follow(service: PersonalizationService, items: list[Activity]) -> None:
    await service.follow(items)


async def main(url: str) -> None:
    modules = load(["access", "tracking", "profiles", "personalization"])
    for module in modules:
        await migrate.upgrade(module, url)
    async with Host(modules, Settings(database_url=url)) as host:
        stories = {
            "no segments": [],
            "50 segments": conditions(),
            "50 that nobody enters": [c for c in conditions()[CROSSED:] for _ in range(2)][:50],
        }
        for name, wanted in stories.items():
            cpu, elapsed = await followed(host, wanted)
            each = 1e6 / (BATCH * BATCHES)
            print(f"{name:26} cpu {cpu * each:5.1f} µs   wall {elapsed * each:5.1f} µs an event")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
