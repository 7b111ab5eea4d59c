"""How a sink may misbehave, as words of one line: ``STAGE:ACTION[:ADDRESS][@SHARE][*TIMES]``.

    rcpt:550:bounce-*@*      550 to RCPT TO for addresses of that pattern
    end:451@0.05             451 at the end of every twentieth message, which is not taken
    accepted:drop@0.05       the message is taken and noted, and the connection dropped before 250
    mail:hang                no answer, ever
    body:drop*3              dropped in the middle of the message, three times
    ehlo:endless             lines of a reply that never ends

Stages: greeting, ehlo, starttls, auth, mail, rcpt, data (before 354), body (while it comes), end
(it has come whole, and is not taken), accepted (it is noted; 250 has not been sent yet).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from random import Random
from typing import Final

STAGES: Final = (
    "greeting",
    "ehlo",
    "starttls",
    "auth",
    "mail",
    "rcpt",
    "data",
    "body",
    "end",
    "accepted",
)
_FORM = re.compile(
    r"(?P<stage>[a-z]+):(?P<action>\d{3}|drop|hang|endless)(?::(?P<address>.+?))?"
    r"(?:@(?P<share>[01]?\.\d+|[01]))?(?:\*(?P<times>\d+))?"
)


@dataclass
class Fault:
    stage: str
    action: str
    address: str = "*"
    """Of the recipient, once it is known; as the shell matches file names."""

    share: float = 1.0
    times: int | None = None
    """How often it may still happen."""

    struck: int = 0

    @classmethod
    def read(cls, words: str) -> "Fault":
        found = _FORM.fullmatch(words)
        if found is None or found["stage"] not in STAGES:
            raise ValueError(f"{words!r} must read STAGE:ACTION[:ADDRESS][@SHARE][*TIMES].")
        return cls(
            found["stage"],
            found["action"],
            found["address"] or "*",
            float(found["share"] or 1),
            int(found["times"]) if found["times"] else None,
        )

    def strikes(self, stage: str, address: str, dice: Random) -> bool:
        if stage != self.stage or not fnmatchcase(address, self.address):
            return False
        if self.times == 0 or dice.random() >= self.share:
            return False
        if self.times is not None:
            self.times -= 1
        self.struck += 1
        return True


class Faults:
    """What goes wrong, the first that fits."""

    def __init__(self, faults: Sequence[Fault | str] = (), seed: int = 1) -> None:
        self.plan = [Fault.read(fault) if isinstance(fault, str) else fault for fault in faults]
        self.dice = Random(seed)

    def at(self, stage: str, address: str = "") -> str | None:
        """The action that strikes now."""
        for fault in self.plan:
            if fault.strikes(stage, address, self.dice):
                return fault.action
        return None

    def plant(self, *faults: str) -> None:
        """From now on, and nothing else."""
        self.plan = [Fault.read(fault) for fault in faults]

    @property
    def struck(self) -> int:
        return sum(fault.struck for fault in self.plan)
