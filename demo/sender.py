"""Segment's own client, unmodified, used with care: it drops silently what it cannot queue.

What it may do silently is looked at here: a full queue (`track` answers False), an event over 32 KB
(refused before it is queued), a batch given up (`on_error`), a platform that died underneath.
"""

import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from segment.analytics.client import Client  # type: ignore[import-untyped]

from demo.failure import Failure
from demo.story import Identify, Track

BACKLOG = 2_000
"""Events queued at most. The client's queue holds five times as many, so that what it takes back
after a 429 always fits: beyond its size it would drop."""
GLANCE = 0.2
"""Seconds between two looks at whether the platform is still there."""


class Sender:
    """Sends in order over one connection and counts what the platform has acknowledged."""

    def __init__(self, host: str, write_key: str, log: Path, alive: Callable[[], None]) -> None:
        """*alive* raises when the platform is gone."""
        past_proxies()
        self._alive = alive
        self._errors: list[str] = []
        logger = logging.getLogger("segment")
        logger.propagate = False
        self._client = Client(
            write_key=write_key,
            host=host,
            on_error=self._given_up,
            max_queue_size=5 * BACKLOG,
            upload_size=100,
            log_handler=logging.FileHandler(log),
        )
        self.sent = 0

    def _given_up(self, error: Exception, batch: list[object]) -> None:
        self._errors.append(f"{len(batch)} events were not accepted: {error}")

    def send(self, messages: Iterable[Identify | Track], progress: Callable[[int], None]) -> None:
        """Returns when every message is acknowledged; *progress* hears how many are.

        Raises `Failure` when the client gave a batch up, or the platform went away.
        """
        queue = self._client.queue
        count = 0
        for message in messages:
            if count % 100 == 0:
                self._wait_for_room()
                progress(count - queue.unfinished_tasks)
            self._hand_over(message)
            count += 1
        while queue.unfinished_tasks:
            with queue.all_tasks_done:
                queue.all_tasks_done.wait(GLANCE)
            self._check()
            progress(count - queue.unfinished_tasks)
        self._client.flush()
        self._check()
        progress(count)
        self.sent += count

    def _hand_over(self, message: Identify | Track) -> None:
        if isinstance(message, Identify):
            queued, _ = self._client.identify(
                message.user_id,
                message.traits,
                timestamp=message.timestamp,
                message_id=message.message_id,
            )
        else:
            queued, _ = self._client.track(
                message.user_id,
                message.event,
                message.properties,
                timestamp=message.timestamp,
                message_id=message.message_id,
            )
        if not queued:
            raise Failure(f"Segment's client dropped {message.message_id}: its queue is full.")

    def _wait_for_room(self) -> None:
        queue = self._client.queue
        with queue.not_full:
            while len(queue.queue) > BACKLOG:
                queue.not_full.wait(GLANCE)
                self._check()
        self._check()

    def _check(self) -> None:
        self._alive()
        if self._errors:
            raise Failure(f"{self._errors[0]}\nRun it again: what was accepted is not sent twice.")

    def close(self) -> None:
        self._client.shutdown()


def past_proxies() -> None:
    """The client asks the environment for a proxy, even on the way to its own machine."""
    others = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    os.environ["no_proxy"] = f"{others},127.0.0.1" if others else "127.0.0.1"
