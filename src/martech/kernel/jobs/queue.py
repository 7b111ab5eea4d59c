"""How commands travel from the sweeper to those who carry them out: dramatiq, and only ids.

With Redis they travel between processes, without it inside this one. A queue may forget
everything, deliver late or twice: the `commands` table is the record. Its name in Redis follows
from where that table is: whoever works on it shares the queue, and no other installation does.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import CancelledError
from hashlib import sha256
from pathlib import Path
from socket import gethostname
from typing import TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.errors import BrokerConnectionError
from redis.exceptions import RedisError

from martech.kernel.db.engines import is_sqlite
from martech.kernel.errors import Unavailable

log = logging.getLogger(__name__)

HEARTBEAT = 15_000  # milliseconds after which a silent process counts as dead
MAINTENANCE = 1_000_000  # in a million: look after dead processes' messages at every command
GLANCE = 200  # milliseconds between looks at an empty queue in Redis
IDLE = 500  # milliseconds until a thread without work looks whether it is to stop

A = TypeVar("A")
CarryOut = Callable[[UUID], Awaitable[bool]]


class Queue:
    """One module's queue, with a broker and threads of its own: a slow module holds up nobody."""

    def __init__(self, name: str, redis_url: str | None, database_url: str) -> None:
        self.name = name
        self.broker = _broker(redis_url, namespace(database_url))
        declare = dramatiq.actor(actor_name=f"{name}.command", queue_name=name, broker=self.broker)
        self._actor = declare(self._deliver)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._carry_out: CarryOut | None = None
        self._worker: dramatiq.Worker | None = None
        self._waiting: set[UUID] = set()

    def open(self, carry_out: CarryOut, at_once: int) -> None:
        """Bring what arrives to *carry_out* on the running loop, *at_once* at a time."""
        self._loop, self._carry_out = asyncio.get_running_loop(), carry_out
        glance = IDLE if isinstance(self.broker, StubBroker) else GLANCE
        logging.getLogger(f"dramatiq.worker.ConsumerThread({self.name})").addFilter(_is_news)
        self._worker = dramatiq.Worker(self.broker, worker_threads=at_once, worker_timeout=glance)
        self._worker.start()

    async def waiting(self) -> int:
        """How many nobody has taken yet. Raises `Unavailable` when the broker is away."""
        if isinstance(self.broker, RedisBroker):
            client, full = self.broker.client, f"{self.broker.namespace}:{self.name}"
            return int(await self._asked(lambda: client.llen(full)))
        return len(self._waiting)

    async def send(self, ids: Sequence[UUID]) -> None:
        """Hand *ids* over. Raises `Unavailable` when the broker is away; some may be there."""
        new = [id_ for id_ in ids if id_ not in self._waiting]
        if isinstance(self.broker, StubBroker):  # it forgets nothing
            self._waiting.update(new)

        def send() -> None:
            for id_ in new:
                self._actor.send(str(id_))

        await self._asked(send)

    async def _asked(self, question: Callable[[], A]) -> A:
        try:
            return await asyncio.to_thread(question)
        except (BrokerConnectionError, RedisError) as exc:
            raise Unavailable(f"The broker of {self.name} does not answer: {exc}") from exc

    async def close(self, patience: float) -> list[UUID]:
        """Take nothing more; wait *patience* seconds for what is being carried out. Returns what
        was handed over and goes with this process, before anybody took it."""
        if self._worker is not None:
            await asyncio.to_thread(self._worker.stop, int(patience * 1000))
        self.broker.close()
        return list(self._waiting)

    def _deliver(self, id_: str) -> None:
        """Runs in a thread of the worker, and holds it as long as the job takes on the loop."""
        if self._loop is None or self._carry_out is None:
            return
        self._waiting.discard(UUID(id_))
        try:
            asyncio.run_coroutine_threadsafe(_awaited(self._carry_out, id_), self._loop).result()
        except CancelledError:
            log.info("%s was broken off", id_)


def _is_news(record: logging.LogRecord) -> bool:
    """That the broker is away, its thread would say each time that it tries. Who hands out says it
    once."""
    return "connection error" not in str(record.msg)


async def _awaited(carry_out: CarryOut, id_: str) -> bool:
    return await carry_out(UUID(id_))


def namespace(database_url: str) -> str:
    """What the queues of those who work on that database are called by. Nobody can read in it
    where that is; a SQLite file is this machine's."""
    place = database_url.rpartition("@")[2]
    if is_sqlite(database_url):
        place = f"{gethostname()}:{Path(urlsplit(database_url).path[1:]).resolve()}"
    return f"martech:{sha256(place.encode()).hexdigest()[:16]}"


def _broker(redis_url: str | None, called: str) -> dramatiq.Broker:
    # no middleware: attempts, time limits and delays are the table's and the carrier's business
    if redis_url is None:
        return StubBroker(middleware=[])
    return RedisBroker(  # type: ignore[no-untyped-call]  # dramatiq's constructor has no types
        url=redis_url,
        middleware=[],
        namespace=called,
        heartbeat_timeout=HEARTBEAT,
        maintenance_chance=MAINTENANCE,
    )
