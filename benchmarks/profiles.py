"""How many microseconds an event costs profiles: the pure part, and the whole transaction.

    python -m benchmarks.profiles sqlite:////tmp/bench
    python -m benchmarks.profiles postgresql://…

The database is migrated first; every story starts with a tenant of its own. CPU is this process's;
what PostgreSQL's own processes do comes on top and shows in the wall time only.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec

from martech.app import load
from martech.kernel import migrate
from martech.kernel.host import Host
from martech.kernel.settings import Settings
from martech.modules.profiles import domain
from martech.modules.profiles.contract import Identity
from martech.modules.tracking.contract import EventsTracked, TrackedEvent

BATCH, BATCHES = 500, 40
PEOPLE = 2_500
START = datetime(2026, 1, 1, tzinfo=UTC)
BODY = {"order_id": "o-1", "revenue": 12.5, "products": [{"sku": "x" * 20, "price": 1.5}] * 40}

Story = Callable[[int], dict[str, object]]

STORIES: dict[str, Story] = {
    "known user ids": lambda n: {"user_id": f"household-{n * 7919 % PEOPLE}"},
    "known pairs": lambda n: {
        "user_id": f"household-{n * 7919 % PEOPLE}",
        "anonymous_id": f"device-{n * 7919 % PEOPLE}",
    },
    "new anonymous people": lambda n: {"anonymous_id": f"visitor-{n}"},
    "identifies, nothing new": lambda n: {
        "type": "identify",
        "user_id": f"household-{n * 7919 % PEOPLE}",
        "traits": {"plan": "pro", "age": 41, "city": "Ulm"},
    },
}


def batches(story: Story) -> Iterator[list[TrackedEvent]]:
    for start in range(0, BATCH * BATCHES, BATCH):
        items = [
            {
                "type": "track",
                "message_id": f"m-{number}",
                "person_key": "",
                "timestamp": START + timedelta(seconds=number),
                "received_at": START + timedelta(days=1),
                "event": "Order Completed",
                "properties": BODY,
                **story(number),
            }
            for number in range(start, start + BATCH)
        ]
        told = msgspec.json.encode({"items": items})
        yield msgspec.json.decode(told, type=EventsTracked).items


def pure(story: Story) -> float:
    """Seconds for everything but the database, with everybody known but those who are new."""
    tenant, taken = uuid4(), list(batches(story))
    known: dict[domain.Key, domain.Known] = {}
    for items in taken[: PEOPLE // BATCH]:
        plan = domain.resolve(tenant, known, items, {})
        known |= {
            key: domain.Known(link.person.id, START, link.person.identified, shared=False)
            for key, link in plan.links.items()
        }
    began = time.process_time()
    for items in taken:
        reading = domain.read(items)
        theirs = {key: known[key] for key in reading.keys & known.keys()}
        plan = domain.resolve(tenant, theirs, items, reading.said)
        domain.traits_after({}, plan, items, reading.said)
        for item, (key, person) in zip(items, plan.came, strict=True):
            domain.activity(item, person.root().id, Identity(*key))
    return time.process_time() - began


async def whole(host: Host, story: Story) -> tuple[float, float]:
    """CPU and wall seconds from items to commit; the first pass makes the people known."""
    tenant, taken = uuid4(), list(batches(story))
    for items in taken[: PEOPLE // BATCH]:
        await _record(host, tenant, items)
    cpu, wall = time.process_time(), time.perf_counter()
    for items in taken:
        await _record(host, tenant, items)
    return time.process_time() - cpu, time.perf_counter() - wall


async def _record(host: Host, tenant: object, items: list[TrackedEvent]) -> None:
    async with host.unit("profiles", tenant) as people:  # type: ignore[arg-type]
        await people.record(items)


async def main(url: str) -> None:
    modules = load(["profiles", "tracking"])
    for module in modules:
        await migrate.upgrade(module, url)
    async with Host(modules, Settings(database_url=url)) as host:
        for name, story in STORIES.items():
            cpu, elapsed = await whole(host, story)
            each = 1e6 / (BATCH * BATCHES)
            print(
                f"{name:26} pure {pure(story) * each:5.1f} µs   "
                f"cpu {cpu * each:5.1f} µs   wall {elapsed * each:5.1f} µs an event"
            )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
