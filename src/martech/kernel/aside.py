"""Work that holds the processor: done in a process of its own, while the event loop goes on.

A thread would not free the loop: what inlines style sheets keeps Python's lock from its first step
to its last, and listens to nobody. A child can be ended when it takes too long, takes nobody along
when it falls, and holds none of our secrets.

Of each tenant one piece of work is done at a time, and the tenants' in turn: what one of them asks
for meanwhile waits behind their own.
"""

import asyncio
import os
import sys
import traceback
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from inspect import signature
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar, TypeVarTuple, cast, get_type_hints
from uuid import UUID

import msgspec

from martech.kernel.errors import Timeout, TooMany, Unavailable

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MOST = 2
"""Children. Each is started when it is needed first, and kept."""

WAITING = 8
"""Pieces of a tenant's work behind the one whose turn it is, at most."""

TENANTS = 32
"""Who have something done at once, at most."""

SECONDS = 10.0
"""For one piece of work; a tenant's first waits for at most one of each other's before."""

LONGEST = 64 * 1024 * 1024
"""Bytes of an answer."""

CHILD = """
import sys
sys.path[:] = sys.argv[1:]
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)  # sent to all of us: the parent ends in its own time,
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # and who asks no more ends us
from martech.kernel import aside
aside.serve()
"""


class Question(msgspec.Struct, frozen=True, array_like=True):
    work: str
    """Where it stands: ``module:function``."""

    given: list[msgspec.Raw]


class Answer(msgspec.Struct, frozen=True, array_like=True):
    value: msgspec.Raw = msgspec.Raw(b"null")
    failed: str | None = None
    """The traceback, of what should not have happened."""


class Child(NamedTuple):
    process: Process
    questions: StreamWriter
    answers: StreamReader


class Line:
    """A tenant's work."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.length = 0


class Aside:
    """Has pure functions done by children, a few at once. What is given and what comes back is of
    the types that the function declares, and must have a form in JSON."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._turns = asyncio.Semaphore(MOST)
        self._lines: dict[UUID, Line] = {}
        self._idle: list[Child] = []

    @property
    def asked(self) -> int:
        """How many are being done or wait."""
        return sum(line.length for line in self._lines.values())

    async def do(self, tenant: UUID, work: Callable[[*Ts], T], *given: *Ts) -> T:
        """Have it done when it is *tenant*'s turn. Raises `TooMany` when much of theirs waits,
        `Unavailable` when too many tenants ask or the child falls; and `Timeout`."""
        question = Question(
            f"{work.__module__}:{work.__qualname__}",
            [msgspec.Raw(msgspec.json.encode(each)) for each in given],
        )
        async with self._turn(tenant):
            answer = msgspec.json.decode(
                await self._exchange(msgspec.json.encode(question)), type=Answer
            )
        if answer.failed is not None:
            raise RuntimeError(f"{question.work} failed aside:\n{answer.failed}")
        done: T = msgspec.json.decode(answer.value, type=get_type_hints(work)["return"])
        return done

    async def close(self) -> None:
        for child in self._idle:
            await _end(child)

    @asynccontextmanager
    async def _turn(self, tenant: UUID) -> AsyncIterator[None]:
        """Both the line and the children are taken in the order in which they were asked for; so
        whoever's piece is done stands behind the other tenants with their next one."""
        if tenant not in self._lines and len(self._lines) >= TENANTS:
            raise Unavailable("Too many ask for this at once; try again.", retry_after=2)
        line = self._lines.setdefault(tenant, Line())
        if line.length > WAITING:
            raise TooMany("You ask for this too often at once; try again.", retry_after=2)
        line.length += 1
        try:
            async with line.turn, self._turns:
                yield
        finally:
            line.length -= 1
            if not line.length:
                del self._lines[tenant]

    async def _exchange(self, question: bytes) -> bytes:
        """The child's answer. One that owes an answer is not asked again, but ended."""
        child = self._idle.pop() if self._idle else await start()
        try:
            async with asyncio.timeout(self._seconds):
                answer = await _ask(child, question)
        except TimeoutError:
            await _end(child)
            raise Timeout(
                f"This was not done in {self._seconds:g} s. Ask for less, or try again when less "
                "is going on.",
                retry_after=10,
            ) from None
        except BaseException:
            await _end(child)
            raise
        self._idle.append(child)
        return answer


async def start() -> Child:
    """A child that knows nothing but where our code is."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CHILD, *sys.path), env={}, stdin=PIPE, stdout=PIPE, limit=LONGEST
    )
    return Child(process, cast("StreamWriter", process.stdin), cast("StreamReader", process.stdout))


async def _ask(child: Child, question: bytes) -> bytes:
    answer = b""
    with suppress(ConnectionError):  # it has fallen: there is no answer
        child.questions.write(question + b"\n")
        await child.questions.drain()
        answer = await child.answers.readline()
    if not answer.endswith(b"\n"):
        raise Unavailable(
            "What was to do this has fallen over it. Ask for less, or try again.", retry_after=2
        )
    return answer


async def _end(child: Child) -> None:
    with suppress(ProcessLookupError):
        child.process.kill()
    await child.process.wait()


def serve() -> None:
    """The child: a question a line, an answer a line, until nobody is there to ask."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
        for line in sys.stdin.buffer:
            answers.write(msgspec.json.encode(_answered(line)) + b"\n")
            answers.flush()


def _answered(line: bytes) -> Answer:
    try:
        question = msgspec.json.decode(line, type=Question)
        work = _found(question.work)
        types = get_type_hints(work)
        given = [
            msgspec.json.decode(raw, type=types[name])
            for name, raw in zip(signature(work).parameters, question.given, strict=True)
        ]
        return Answer(msgspec.Raw(msgspec.json.encode(work(*given))))
    except Exception:  # noqa: BLE001 - whoever asks is told
        return Answer(failed=traceback.format_exc())


def _found(name: str) -> Callable[..., Any]:
    module, _, path = name.partition(":")
    found: Callable[..., Any] = attrgetter(path)(import_module(module))
    return found
