"""contracts/corrections.json: where a file had said what the code never did.

A difference that is listed there, as it is, word for word, is no breach: the description has
changed, and what is described has not. It is a list of mistakes in writing, not of exceptions.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from martech.kernel.published.gate.breach import Breach
from martech.kernel.published.gate.revisions import Incomparable

FILE = "contracts/corrections.json"


class Correction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    file: str
    pointer: str
    rule: str
    was: Any
    now: Any = msgspec.field(name="is")
    why: str
    """How the code behaved all the time."""

    def covers(self, breach: Breach) -> bool:
        return (self.file, self.pointer, self.rule, self.was, self.now) == (
            *(breach.file, breach.pointer, breach.rule),
            *(breach.was, breach.now),
        )


def corrections(repository: Path) -> Sequence[Correction]:
    """Those of the working tree; a repository that has made no mistake has no file."""
    file = repository / FILE
    if not file.exists():
        return []
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[Correction])
    except msgspec.DecodeError as refused:
        raise Incomparable(f"{FILE} cannot be read: {refused}.") from None


def corrected(
    breaches: Sequence[Breach], known: Sequence[Correction]
) -> tuple[list[Breach], list[Correction]]:
    """The breaches that are left, and the corrections that explain the others."""
    used = [one for one in known if any(one.covers(breach) for breach in breaches)]
    return [b for b in breaches if not any(one.covers(b) for one in used)], used
