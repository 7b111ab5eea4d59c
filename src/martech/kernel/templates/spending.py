"""What one rendering has taken so far, and what one value weighs."""

import time
from collections.abc import Iterator
from io import StringIO
from typing import TypeVar

from liquid.exceptions import LoopIterationLimitError, OutputStreamLimitError

from martech.kernel.templates import limits
from martech.kernel.templates.errors import Refused

T = TypeVar("T")

_LATE = f"It takes longer than {limits.SECONDS * 1000:.0f} ms. Do less in it."


class Spent:
    """What one rendering has taken so far."""

    __slots__ = ("_began", "_until", "turns")

    def __init__(self) -> None:
        self.turns = 0
        self._until = time.perf_counter() + limits.SECONDS
        self._began = time.thread_time()

    def check(self) -> None:
        """Raise `Refused` when the time is over."""
        late = time.perf_counter() > self._until
        if late and time.thread_time() - self._began > limits.SECONDS:
            raise Refused(_LATE, token=None)

    def counted(self, items: Iterator[T]) -> Iterator[T]:
        """*items*, as long as there are turns and time for them."""
        for item in items:
            self.turns += 1
            if self.turns > limits.TURNS:
                raise LoopIterationLimitError("turns", token=None)
            self.check()
            yield item


class Written(StringIO):
    """What a rendering prints, up to *room* bytes."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self._parts: list[str] = []

    def write(self, text: str, /) -> int:
        size = len(text)
        self.room -= size if text.isascii() else len(text.encode())
        if self.room < 0:
            raise OutputStreamLimitError("printed", token=None)
        self._parts.append(text)
        return size

    def getvalue(self) -> str:
        return "".join(self._parts)


def weight(value: object) -> int:
    """The characters that *value* prints, about. Raises `Refused` for what is too much."""
    held = _weight(value, 0)
    if held > limits.TEXT:
        raise Refused(f"A filter would handle more than {limits.TEXT:,} characters.", token=None)
    return held


def _weight(value: object, held: int) -> int:
    """*held* and that of *value*; it stops where it is too much."""
    if isinstance(value, str):
        return held + len(value)
    if isinstance(value, int) and value.bit_length() > limits.BITS:
        raise Refused(f"A number has more than {limits.BITS} bits. Take a smaller one.", token=None)
    if isinstance(value, list | tuple | range | dict):
        if len(value) > limits.ITEMS:
            raise Refused(f"A list has more than {limits.ITEMS:,} entries. Take fewer.", token=None)
        if isinstance(value, range):
            return held + 8 * len(value)
        for part in value.items() if isinstance(value, dict) else value:
            held = _weight(part, held + 2)
            if held > limits.TEXT:
                break
        return held
    return held + 24
