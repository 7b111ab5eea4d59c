"""A whole API in use while something is broken: who still answers as ever?

Every module is a process of its own behind a wire. One of them is broken in one way; meanwhile the
mix of requests goes on. What was refused is sent again when all is well, so that in the end
everything was accepted once, with and without faults.
"""

import asyncio
import signal
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
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

AGAIN = 4
"""Times that somebody who is well is asked whose answer is late, before it counts as late: a busy
machine is late now and then, who waits for what is broken is so for as long as it is. (Nobody may
wait for long even once: `martech.kernel.asking` gives every question to a peer its deadline.)"""

SLOW = 5.0
LATE = f"no answer in {STEADY:.0f} s"
GONE = "hung up"

Unsteady = Mapping[str, list[str]]
"""By module, what its routes answered that they should not."""


@dataclass(frozen=True)
class Request:
    """Something that is asked; a write is to be accepted once, however often it is sent."""

    method: str
    path: str
    body: object = None
    key: str = ""

    async def sent(self, platform: Nodes) -> httpx.Response:
        shown = platform.write_key if self.path.startswith("/v1/") else platform.secret_key
        headers = {"idempotency-key": self.key} if self.key else {}
        return await platform.call(self.method, self.path, self.body, shown, headers=headers)

    async def said(self, platform: Nodes) -> str | None:
        """What was wrong with the answer."""
        try:
            async with asyncio.timeout(STEADY):
                answer = await self.sent(platform)
        except TimeoutError:
            return LATE
        except httpx.TransportError:
            return GONE
        return None if answer.is_success else f"{answer.status_code} {answer.text}"


READS = [
    Request("GET", path)
    for path in (
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
]


@dataclass
class Mix:
    """Requests to every module, as a busy installation has them."""

    platform: Nodes
    segment: str
    content: str
    people: Sequence[str]
    """Ids of whoever is known, always in the same order."""

    number: int = 0
    refused: list[Request] = field(default_factory=list)

    def writes(self) -> list[Request]:
        """One to each module, each of its own."""
        self.number += 1
        key, turn = f"mix-{self.number}", self.number % len(self.people)
        bought = order(f"p{turn}", key)
        del bought["type"]
        consent = f"/profiles/v1/people/{self.people[turn]}/consents/email"
        status = "denied" if self.number // len(self.people) % 2 else "granted"
        plan = {"name": key, "segment_id": self.segment, "content_id": self.content}
        asked: list[tuple[str, str, object]] = [
            ("POST", "/access/v1/users", {"email": f"{key}@shop.example", "role": "viewer"}),
            ("POST", "/v1/track", bought),
            ("POST", "/content/v1/templates", {"name": key, "subject": key, "text": key}),
            ("PUT", consent, {"status": status}),
            ("POST", "/personalization/v1/segments", {"name": key, "condition": UNKNOWN}),
            ("POST", "/delivery/v1/suppressions", {"address": f"{key}@spam.example"}),
            ("POST", "/analytics/v1/parked/retry", {"subscription": "keep_what_people_did"}),
            ("POST", "/campaigns/v1/campaigns", plan),
        ]
        return [Request(method, path, body, key) for method, path, body in asked]

    async def ask(self, broken: str = "") -> Unsteady:
        """All of them at once; whose answers were not as ever. What is *broken* is asked once."""
        requests = [*READS, *self.writes()]
        unsteady: dict[str, list[str]] = defaultdict(list)
        answers = await asyncio.gather(*(self._try(r, broken) for r in requests))
        for request, said in zip(requests, answers, strict=True):
            if said:
                unsteady[owner(request.path)].append(f"{request.method} {request.path}: {said}")
                if request.key:
                    self.refused.append(request)
        return unsteady

    async def again(self, mended: str) -> None:
        """What was refused, until it is accepted; and until *mended* answers as ever."""
        for request in [*self.refused, *(r for r in READS if owner(r.path) == mended)]:

            async def accepted(request: Request = request) -> bool:
                return await request.said(self.platform) is None

            await until(accepted, f"{request.path} takes {request.key}")
        self.refused.clear()

    async def _try(self, request: Request, broken: str) -> str | None:
        said: str | None = LATE
        for _ in range(1 if owner(request.path) == broken else AGAIN):
            if said == LATE:
                said = await request.said(self.platform)
        return said


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
        transaction = await _locked(holder, module)
        yield
        await transaction.rollback()
    finally:
        await holder.close()


async def _locked(holder: Any, module: str) -> Any:
    """All tables of *module*, in a transaction of *holder*. Whoever works there takes them in
    another order, and PostgreSQL may have to choose between them and us."""
    tables = await holder.fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = $1 ORDER BY 1", module
    )
    names = ", ".join(f'"{module}"."{row["tablename"]}"' for row in tables)
    while True:
        transaction = holder.transaction()
        await transaction.start()
        try:
            await holder.execute(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")
        except asyncpg.DeadlockDetectedError:
            await transaction.rollback()
        else:
            return transaction


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
