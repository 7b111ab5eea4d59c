"""Whose question is next: of each tenant one at a time, and the tenants in turn.

So one tenant's slow questions hold one thread, and what they ask meanwhile waits behind their own.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from martech.kernel.errors import TooMany, Unavailable

T = TypeVar("T")

WAITING = 8
"""Questions of a tenant behind the one whose turn it is, at most."""

TENANTS = 100
"""Who ask at once, at most: room enough that a few of them cannot take it from the others."""


class _Waiting(Protocol):
    def begin(self, pool: Executor, over: Callable[[], None]) -> None: ...
    def leave(self) -> None: ...
    def gone(self) -> bool: ...


class _Question(Generic[T]):
    def __init__(self, do: Callable[[], T]) -> None:
        self.answer = Future[T]()
        self._do = do

    def begin(self, pool: Executor, over: Callable[[], None]) -> None:
        """Have it done, and *over* called when it is answered."""
        work = pool.submit(self._work)
        work.add_done_callback(self._settle)
        work.add_done_callback(lambda _: over())

    def leave(self) -> None:
        """Of one that is being answered, nothing."""
        self.answer.cancel()

    def gone(self) -> bool:
        return self.answer.cancelled()

    def _work(self) -> list[T]:
        """Nothing for whoever has gone."""
        return [self._do()] if self.answer.set_running_or_notify_cancel() else []

    def _settle(self, worked: Future[list[T]]) -> None:
        if error := worked.exception():
            self.answer.set_exception(error)
            return
        for done in worked.result():
            self.answer.set_result(done)


class Turns:
    """Threads that answer. Called from any thread."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, "analytics answers")
        self._lock = threading.Lock()
        self._lines: dict[UUID, deque[_Waiting]] = {}
        """Of each tenant who asks; the first of a line has its turn."""

    def ask(self, tenant: UUID, do: Callable[[], T]) -> "Future[T]":
        """Have *do* done when it is *tenant*'s turn. Whoever cancels the answer before leaves the
        line. Raises `TooMany` when the tenant's line is full, `Unavailable` when too many tenants
        ask."""
        question = _Question(do)
        with self._lock:
            self._drop_the_cancelled()
            line = self._lines.get(tenant)
            if line is not None and len(line) > WAITING:
                raise TooMany(
                    "Too many of your questions wait for an answer; ask again.", retry_after=2
                )
            if line is None and len(self._lines) >= TENANTS:
                raise Unavailable("Too many questions at once; ask again.", retry_after=2)
            self._lines.setdefault(tenant, deque()).append(question)
        if line is None:
            self._begin(tenant, question)
        return question.answer

    def close(self) -> None:
        """Answer no more; return when nothing is being answered."""
        with self._lock:
            for line in self._lines.values():
                for question in line:
                    question.leave()
            self._drop_the_cancelled()
        self._pool.shutdown()

    def _begin(self, tenant: UUID, question: _Waiting) -> None:
        """Without the lock: what is done at once ends in here."""
        question.begin(self._pool, lambda: self._end(tenant))

    def _end(self, tenant: UUID) -> None:
        with self._lock:
            self._drop_the_cancelled()
            line = self._lines[tenant]
            line.popleft()
            if not line:
                del self._lines[tenant]
        if line:
            self._begin(tenant, line[0])

    def _drop_the_cancelled(self) -> None:
        """All but the first of a line, which leaves it itself."""
        for tenant, (first, *others) in self._lines.items():
            waiting = (question for question in others if not question.gone())
            self._lines[tenant] = deque([first, *waiting])
