"""X5: who gives up in the middle leaves nothing of himself to the next: requests of two tenants are
cancelled at random awaits behind slow wires to PostgreSQL and Redis, and nobody sees another's.

What a module asks forgets its tenant on PostgreSQL meanwhile (`forgetful`): what is shown is what
the connection was left with, and nothing else stands in the way. (On SQLite no connection has a
tenant, and what forgets one is refused: there it shows that nothing stays locked.)
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
import pytest
from httpx import Response
from uuid_utils.compat import uuid7

from martech.app import load
from martech.kernel.feeds import Feed
from martech.kernel.feeds.redis import RedisBroker
from martech.kernel.host import Host
from martech.kernel.outbox import Recorded
from martech.kernel.settings import Settings
from tests import databases, servers
from tests.chaos.forgetful import before_the_wall
from tests.chaos.history import GuaranteeBroken, insist
from tests.chaos.pools import ReadsOn, reuse_after_cancel
from tests.chaos.wire import wired
from tests.serving import TENANTS, Served, serve

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(3600)]

SLOW = 0.002  # seconds that each answer of a server takes more
AT_ONCE = 20  # requests that may be cancelled, and the same of those that are not
MANY = 2 * AT_ONCE  # failures, after which nothing else is to be found out
CROWDS = 10  # that are asked for what is planted
OTHER = {"acme": "globex", "globex": "acme"}
KEPT = 5
"""Idempotency keys; both tenants have the same."""

Ask = Callable[[str, random.Random], Awaitable[str]]
"""What a tenant is shown."""


def canary(tenant: str) -> str:
    return f"{tenant}s-kanarienvogel"


@dataclass
class Crowd:
    """Asks for both tenants at once; half of what it asks is cancelled at some time before it would
    end, and everything that is shown to anybody is looked at."""

    ask: Ask
    seed: int
    usual: float = 0.1
    cancelled: int = 0
    shown: int = 0
    foreign: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)

    async def give_up(self, times: int) -> None:
        """Until so many were cancelled, or one is shown another's."""
        while self.cancelled < times and not self.foreign and len(self.failed) < MANY:
            await asyncio.gather(*(self._one(give_up) for give_up in [True, False] * AT_ONCE))
        if self.foreign:
            raise GuaranteeBroken(f"after {self.cancelled} cancellations {self.foreign[0]}")
        if self.failed:
            raise GuaranteeBroken(f"{len(self.failed)} others failed, as {self.failed[0]}")
        insist(faults=self.cancelled, wanted=times, tried=self.shown, planned=times // 2)

    async def _one(self, give_up: bool) -> None:
        loop, tenant = asyncio.get_running_loop(), self._dice.choice(list(TENANTS))
        asking = asyncio.ensure_future(self.ask(tenant, self._dice))
        began = loop.time()
        if give_up:
            loop.call_later(self._dice.uniform(0, self.usual), asking.cancel)
        try:
            said = await asking
        except asyncio.CancelledError:
            self.cancelled += 1
            return
        except Exception as exc:  # noqa: BLE001 - whatever it is, nobody's cancellation excuses it
            self.failed.append(f"{type(exc).__name__}: {exc}")
            return
        self.shown += 1
        if not give_up:
            self.usual += (loop.time() - began - self.usual) / AT_ONCE
        if canary(OTHER[tenant]) in said or canary(tenant) not in said:
            self.foreign.append(f"{tenant} was shown {said[:300]}")


async def anothers_is_shown(
    planted: Callable[[Path], AbstractAsyncContextManager[Ask]], folder: Path
) -> None:
    """With something planted. It breaks requests before, in other ways: one waits in vain for an
    answer that is not there any more, or is told that the other tenant's Idempotency-Key is taken.
    Where so many broke that the crowd went home, another crowd comes."""
    said: list[str] = []
    while not any("was shown" in each for each in said) and len(said) < CROWDS:
        seed = len(said)
        async with planted(folder / str(seed)) as ask:
            with pytest.raises(GuaranteeBroken) as broken:
                await Crowd(ask, seed).give_up(10_000)
        said.append(str(broken.value))
    assert "was shown" in said[-1], said


# --- requests, behind a slow PostgreSQL ---------------------------------------------------------


@asynccontextmanager
async def asked(kind: str, folder: Path) -> AsyncIterator[tuple[Served, Ask]]:
    """Templates and rejected messages of both tenants, behind routes of their modules."""
    modules = load(["content", "tracking"])
    async with AsyncExitStack() as stack:
        url = await asyncio.to_thread(databases.fresh, kind, modules, folder)
        if kind == "postgresql":
            url, wire = await stack.enter_async_context(wired(url))
            wire.slow(SLOW)
            url += "?ssl=disable"  # a TLS that is given up half agreed leaves asyncpg complaining
        served = await stack.enter_async_context(serve(modules, Settings(database_url=url)))
        keys = served.owners()
        for tenant in TENANTS:
            await _fill(served, keys[tenant], tenant)
        if kind == "postgresql":
            stack.enter_context(before_the_wall())

        async def ask(tenant: str, dice: random.Random) -> str:
            headers = {"authorization": f"Bearer {keys[tenant]}"}
            match dice.randrange(3):
                case 0:
                    path = "/content/v1/templates"
                    answer = await served.client.get(path, headers=headers)
                case 1:
                    path = "/tracking/v1/rejections"
                    answer = await served.client.get(path, headers=headers)
                case _:
                    number = dice.randrange(KEPT)
                    headers["idempotency-key"] = f"the-same-{number}"
                    answer = await _write(served, headers, tenant, number)
            assert answer.is_success, f"{answer.status_code} {answer.text}"
            return answer.text

        yield served, ask


async def _fill(served: Served, key: str, tenant: str) -> None:
    headers = {"authorization": f"Bearer {key}"}
    assert (await _write(served, headers, tenant, 0)).is_success
    broken = {"type": "track", "userId": "u", "messageId": canary(tenant), "event": ""}
    tracked = await served.client.post("/v1/batch", json={"batch": [broken]}, headers=headers)
    assert tracked.is_success, tracked.text


async def _write(served: Served, headers: dict[str, str], tenant: str, number: int) -> Response:
    draft = {"name": f"{canary(tenant)} {number}", "subject": "s", "text": "t"}
    return await served.client.post("/content/v1/templates", json=draft, headers=headers)


async def test_nobody_sees_anothers_after_requests_were_cancelled(
    kind: str, tmp_path: Path, full: bool
) -> None:
    async with asked(kind, tmp_path) as (served, ask):
        await Crowd(ask, seed=1).give_up(10_000 if full else 200)
        assert served.app.inside == 0
        for database in served.host.databases.values():
            assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


@pytest.mark.planted
async def test_a_connection_that_is_used_again_after_a_cancellation_is_found_out(
    tmp_path: Path,
) -> None:
    @asynccontextmanager
    async def planted(folder: Path) -> AsyncIterator[Ask]:
        async with asked("postgresql", folder) as (served, ask):
            await reuse_after_cancel(served.host)
            yield ask

    await anothers_is_shown(planted, tmp_path)


# --- what others told, behind a slow Redis ------------------------------------------------------


@asynccontextmanager
async def carried(kind: type[RedisBroker], folder: Path) -> AsyncIterator[Ask]:
    """Two outboxes in one Redis; of each only one tenant tells, whom its listeners are for."""
    url = await asyncio.to_thread(databases.fresh, "sqlite", databases.SAMPLE, folder)
    sources = dict(zip(TENANTS, ("shop", "ledger"), strict=True))
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(Host(databases.SAMPLE, Settings(database_url=url)))
        place, wire = await stack.enter_async_context(wired(servers.fresh_redis()))
        broker = kind(place)
        stack.push_async_callback(broker.close)
        feeds: dict[str, Feed] = {}
        for tenant, source in sources.items():
            await broker.append(source, None, _records(tenant, source), after=0)
            feeds[tenant] = broker.feed(host.record(source))
        wire.slow(SLOW)

        async def ask(tenant: str, dice: random.Random) -> str:
            heard = await feeds[tenant].read(after=dice.randrange(10), types=["told"])
            return " ".join(bytes(record.data).decode() for record in heard)

        yield ask


def _records(tenant: str, source: str) -> Sequence[Recorded]:
    return [
        Recorded(
            position=position,
            id=uuid7(),
            source=source,
            type="told",
            tenant=TENANTS[tenant],
            subject="",
            time=datetime.now(UTC),
            data=msgspec.Raw(msgspec.json.encode(canary(tenant))),
        )
        for position in range(1, 20)
    ]


async def test_nobody_hears_anothers_after_listeners_gave_up(tmp_path: Path, full: bool) -> None:
    async with carried(RedisBroker, tmp_path) as ask:
        await Crowd(ask, seed=3).give_up(10_000 if full else 200)


@pytest.mark.planted
async def test_an_answer_that_is_left_to_the_next_is_found_out(tmp_path: Path) -> None:
    await anothers_is_shown(partial(carried, ReadsOn), tmp_path)
