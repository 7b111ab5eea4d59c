"""How long is remembered what was accepted, and what was not."""

from hashlib import blake2b
from typing import Final

from martech.kernel.errors import Invalid
from martech.kernel.messages import Command

RETENTION: Final = 30
SHORTEST: Final = 7
LONGEST: Final = 400
"""In days. Browsers and phones that were offline send weeks later, and then send again."""

SLICES: Final = 64
_WIDTH: Final = 256 // SLICES


class Forget(Command, frozen=True, kw_only=True):
    """Drop what is past its retention: every day, one slice of the message ids after the other."""

    slice: int = 0

    @property
    def key(self) -> str:
        return f"forget {self.slice}"

    def digests(self) -> tuple[bytes, bytes]:
        """The slice begins with the first and ends before the second."""
        first, end = self.slice * _WIDTH, (self.slice + 1) * _WIDTH
        return bytes([first]), bytes([end]) if end < 256 else b"\xff" * 17


def digest(message_id: str) -> bytes:
    """What is kept of a message id: with a billion of them, two are taken for one with a chance
    of 1 in 10**20."""
    return blake2b(message_id.encode(), digest_size=16).digest()


def check_retention(days: int) -> None:
    if not SHORTEST <= days <= LONGEST:
        raise Invalid(f"days is {days}; choose {SHORTEST} to {LONGEST}.", field="days")
