"""On whose behalf a port is asked, and how long the answer may take."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import Protocol

from martech.kernel.auth import Principal
from martech.kernel.outbox import Origin


class AskedTooLate(RuntimeError):
    """A port was asked after the transaction took its connection. Ask first: a slow answer
    would hold this module's write lock."""


class Asking(Protocol):
    """Whoever asks: a transaction, or a job."""

    @property
    def begun(self) -> bool:
        """Whether a connection is held; ports must be asked before."""
        ...

    @property
    def principal(self) -> Principal | None: ...

    @property
    def origin(self) -> Origin: ...


def refuse_late(asking: Asking | None, question: str) -> None:
    """Raise `AskedTooLate` if whoever asks has begun to write or to read."""
    if asking is not None and asking.begun:
        raise AskedTooLate(
            f"{question} was asked inside a transaction that had begun. "
            "Ask before the first statement."
        )


_until: ContextVar[float | None] = ContextVar("martech.deadline", default=None)


@contextmanager
def due_within(seconds: float) -> Iterator[None]:
    """Whatever is asked of peers inside this block has *seconds*, or what an outer block leaves.
    It breaks nothing off: that is for whoever set the time."""
    token = _until.set(monotonic() + left(seconds))
    try:
        yield
    finally:
        _until.reset(token)


def left(most: float) -> float:
    """The seconds that an answer may take: *most*, or less when somebody waits for ours."""
    until = _until.get()
    return most if until is None else min(most, until - monotonic())
