"""Where Kafka is, and threads that wait for it."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import Lock
from time import monotonic
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from martech.kernel.errors import Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE = 5000  # milliseconds for one answer, unless the URL says otherwise
THREADS = 8  # that wait for Kafka, so that no loop does
LARGEST = 64_000_000  # bytes of a message
QUIET = {"log_level": 2}
"""For whoever keeps what it has to log until it is asked for messages: while Kafka is away that may
be never, and it tries again twenty times a second. Who looks, logs (`Looks`)."""

SELDOM = 60.0  # seconds until it is said again that a connection has failed


class Seldom(logging.Filter):
    """librdkafka says each time that a connection has failed."""

    said = -SELDOM

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.args or "FAIL" not in record.args:
            return True
        due = monotonic() - self.said >= SELDOM
        self.said = monotonic() if due else self.said
        return due


log.addFilter(Seldom())


class Cluster:
    """Where Kafka is, and threads that wait for it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._prefix = parts.path.strip("/") or "martech"
        self._common: dict[str, Any] = {
            "bootstrap.servers": parts.netloc,
            "socket.timeout.ms": PATIENCE,
            "message.max.bytes": LARGEST,
            **dict(parse_qsl(parts.query)),
        }
        self.patience = int(self._common["socket.timeout.ms"]) / 1000
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="kafka")

    def topic(self, source: str) -> str:
        return f"{self._prefix}.outbox.{source}"

    @property
    def consuming(self) -> dict[str, Any]:
        return {
            **self._common,
            "group.id": f"{self._prefix}.none",  # asked for, and never joined
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 100,
            "queued.max.messages.kbytes": 16_384,
        }

    def consumer(self) -> Consumer:
        """To read on and on."""
        return Consumer({**self.consuming, **QUIET}, logger=log)

    def looking(self) -> Consumer:
        """For looks here and there. A question waits behind the fetch before it, and a fetch at the
        end of a topic is not answered before its time is over."""
        return Consumer({**self.consuming, "fetch.wait.max.ms": 1}, logger=log)

    def producer(self) -> Producer:
        return Producer(
            {
                **self._common,
                **QUIET,
                "acks": "all",
                "enable.idempotence": True,
                "compression.type": "lz4",
                "linger.ms": 5,
                "message.timeout.ms": int(self.patience * 1000),
            },
            logger=log,
        )

    def admin(self) -> AdminClient:
        return AdminClient(self._common, logger=log)

    async def wait_for(self, source: str, call: Callable[..., T], *args: Any, **named: Any) -> T:
        """What *call* returns, in a thread. Raises `Unavailable`."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, partial(call, *args, **named))
        except KafkaException as exc:
            raise Unavailable(f"Kafka does not carry the outbox of {source}: {exc}") from exc

    def close(self) -> None:
        self._threads.shutdown(wait=False)


class Shared:
    """A consumer for threads, one at a time: none may close it while another looks."""

    def __init__(self, make: Callable[[], Consumer]) -> None:
        self._make = make
        self._lock = Lock()
        self._consumer: Consumer | None = None
        self.closing = False

    @contextmanager
    def held(self) -> Iterator[Consumer]:
        """Raises `KafkaException` for those who waited for it when it was closed."""
        with self._lock:
            if self.closing:
                raise KafkaException(KafkaError(KafkaError._DESTROY))
            self._consumer = self._consumer or self._make()
            yield self._consumer

    def close(self) -> None:
        self.closing = True
        with self._lock:
            if self._consumer is not None:
                self._consumer.close()
            self._consumer = None


class Looks(Shared):
    """One for looks here and there, to which nothing is assigned between two of them."""

    @contextmanager
    def held(self) -> Iterator[Consumer]:
        with super().held() as consumer:
            try:
                yield consumer
            finally:
                consumer.poll(0)  # it has something to log, perhaps
