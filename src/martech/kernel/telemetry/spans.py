"""A span: one piece of work, when it began and ended, and which piece of work asked for it.

What is in a span leaves the house: routes, types, numbers and ids, never an address, a trait, a
path or a query as they came.
"""

import re
from collections.abc import Mapping, Sequence
from random import getrandbits
from time import time_ns
from typing import Literal, NamedTuple, Protocol

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Attributes = Mapping[str, str | int]

_TRACEPARENT = re.compile(
    r"(?!ff|00.{54})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)
"""Version 00 ends there; a later one may go on, and begins like it."""


class Context(NamedTuple):
    """What a W3C ``traceparent`` says, as far as version 00 knows: of the flags, the first."""

    trace: str
    span: str
    flags: str

    @property
    def sampled(self) -> bool:
        return self.flags == "01"

    @staticmethod
    def of(traceparent: str | None) -> "Context | None":
        """None if there is none, or it is malformed."""
        match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
        if match is None:
            return None
        trace, span, flags = match.groups()
        return Context(trace, span, f"{int(flags, 16) & 1:02x}")

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace}-{self.span}-{self.flags}"


class Recorder(Protocol):
    """Where spans go. Used from every loop of a process."""

    def samples(self, trace: str) -> bool:
        """Whether a trace that begins here is recorded."""
        ...

    def record(self, span: "Span") -> None:
        """Take a span that has ended; never waits, never raises."""
        ...


class Span:
    """One that is being recorded; `end` gives it to its recorder."""

    __slots__ = (
        "_recorder",
        "attributes",
        "began",
        "context",
        "ended",
        "error",
        "kind",
        "links",
        "name",
        "parent",
    )

    def __init__(
        self,
        recorder: Recorder,
        name: str,
        kind: Kind,
        context: Context,
        parent: str | None,
        attributes: Attributes,
        links: Sequence[Context] = (),
    ) -> None:
        """*parent* is a span's id, of the same trace."""
        self._recorder = recorder
        self.name = name
        self.kind = kind
        self.context = context
        self.parent = parent
        self.attributes = dict(attributes)
        self.links = links
        self.began = time_ns()
        self.ended = 0
        self.error = ""

    def end(self, error: str = "") -> None:
        """*error* is the type of what went wrong: a message may hold anything."""
        self.ended = time_ns()
        if error := self.error or error:
            self.attributes["error.type"] = error
        self._recorder.record(self)


def new_span_id() -> str:
    """An id, not a secret; asking the system would cost a turn."""
    return f"{getrandbits(64) or 1:016x}"
