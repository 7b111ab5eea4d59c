"""A whole API in use while something is broken: who still answers as ever?

Every module is a process of its own behind a wire. One of them is broken in one way; meanwhile the
mix of requests goes on. What was refused is sent again when all is well, so that in the end
everything was accepted once, with and without faults.
"""

import asyncio
import signal
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx

from martech.kernel.db.engines import is_sqlite, sqlite_file
from tests.chaos.nodes import Node, Nodes, owner
from tests.chaos.tale import order, until

STEADY = 4.0
"""Seconds within which an answer comes in steady state. (Slow is five.)"""

SLOW = 5.0
ROUNDS = 2
"""Times that the mix is asked while something is broken."""

Unsteady = Mapping[str, list[str]]
"""By module, what its routes answered that they should not."""


@dataclass
class Write:
    """Something that is to be accepted once, however often it is sent."""

    path: str
    body: object
    key: str

    async def sent(self, platform: Nodes) -> httpx.Response:
        shown = platform.write_key if self.path.startswith("/v1/") else platform.secret_key
        headers = {"idempotency-key": self.key}
        return await platform.call("POST", self.path, self.body, shown, headers=headers)


READS = (
    "/access/v1/tenant",
    "/access/v1/keys",
    "/tracking/v1/counts",
    "/content/v1/templates",
    "/profiles/v1/counts",
    "/profiles/v1/people",
    "/personalization/v1/segments",
    "/delivery/v1/sends",
    "/delivery/v1/status",
    "/analytics/v1/events",
    "/analytics/v1/series",
    "/campaigns/v1/campaigns",
)


@dataclass
class Mix:
    """Requests to every module, as a busy installation has them."""

    platform: Nodes
    segment: str
    content: str
    number: int = 0
    refused: list[Write] = field(default_factory=list)

    def writes(self) -> list[Write]:
        """One to each module that takes any, each of its own."""
        self.number += 1
        key = f"mix-{self.number}"
        plan = {"name": key, "segment_id": self.segment, "content_id": self.content}
        bought = order(f"p{self.number % 20}", key)
        return [
            Write("/v1/track", {name: v for name, v in bought.items() if name != "type"}, key),
            Write("/content/v1/templates", {"name": key, "subject": key, "text": key}, key),
            Write("/personalization/v1/segments", {"name": key, "condition": UNKNOWN}, key),
            Write("/campaigns/v1/campaigns", plan, key),
        ]

    async def ask(self) -> Unsteady:
        """All of them at once; whose answers were not as ever."""
        writes = self.writes()
        asked = [self._try(path, self.platform.call("GET", path)) for path in READS]
        asked += [self._try(w.path, w.sent(self.platform), w) for w in writes]
        unsteady: dict[str, list[str]] = defaultdict(list)
        for module, said in await asyncio.gather(*asked):
            if said:
                unsteady[module].append(said)
        return unsteady

    async def again(self) -> None:
        """What was refused, until it is accepted."""
        for write in self.refused:

            async def accepted(write: Write = write) -> bool:
                try:
                    return (await write.sent(self.platform)).is_success
                except httpx.TransportError:
                    return False

            await until(accepted, f"{write.path} takes {write.key}")
        self.refused.clear()

    async def _try(
        self, path: str, asking: Any, write: Write | None = None
    ) -> tuple[str, str | None]:
        try:
            async with asyncio.timeout(STEADY):
                answer = await asking
            said = None if answer.is_success else f"{path}: {answer.status_code} {answer.text}"
        except (httpx.TransportError, TimeoutError) as exc:
            said = f"{path}: {type(exc).__name__}"
        if said and write:
            self.refused.append(write)
        return owner(path), said


UNKNOWN = {"trait": "plan", "is": "exists"}


# --- faults -------------------------------------------------------------------------------------

Fault = Callable[[Nodes, Node], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def killed(platform: Nodes, node: Node) -> AsyncIterator[None]:
    node.kill()
    yield
    node.start()
    await node.ready(platform.client)


@asynccontextmanager
async def paused(platform: Nodes, node: Node) -> AsyncIterator[None]:
    node.signal(signal.SIGSTOP)
    yield
    node.signal(signal.SIGCONT)


@asynccontextmanager
async def slow(platform: Nodes, node: Node) -> AsyncIterator[None]:
    assert node.wire
    node.wire.slow(SLOW)
    yield
    node.wire.mend()


@asynccontextmanager
async def wrong(platform: Nodes, node: Node) -> AsyncIterator[None]:
    """Answers 500."""
    assert node.wire
    node.wire.wrong()
    yield
    node.wire.mend()


@asynccontextmanager
async def exhausted(platform: Nodes, node: Node) -> AsyncIterator[None]:
    """Every connection of its pool waits for somebody else: on PostgreSQL for the module's tables,
    on SQLite for its one write lock."""
    (module,) = node.modules
    if is_sqlite(node.database):
        with _written_to(node.database, module):
            yield
        return
    holder = await asyncpg.connect(node.database)
    try:
        tables = await holder.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = $1 ORDER BY 1", module
        )
        names = ", ".join(f'"{module}"."{row["tablename"]}"' for row in tables)
        async with holder.transaction():
            await holder.execute(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await holder.close()


@contextmanager
def _written_to(url: str, module: str) -> Any:
    holder = sqlite3.connect(sqlite_file(url, module), isolation_level=None, timeout=30)
    try:
        holder.execute("BEGIN IMMEDIATE")
        yield
        holder.execute("ROLLBACK")
    finally:
        holder.close()


FAULTS: Mapping[str, Fault] = {
    "killed": killed,
    "paused": paused,
    "5 s slow": slow,
    "answers 500": wrong,
    "pool exhausted": exhausted,
}
