"""What was tried, what was promised, what is there: and whether the three agree.

attempted ─▶ acknowledged      a promise: it must be there, once
          └▶ (no answer)       it may be there, once: then it is *recovered*
          └▶ taken back        rolled back on purpose: it must not be there
"""

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field


class GuaranteeBroken(AssertionError):
    """The system did not keep a promise. Only this counts as red on a planted defect."""


class Vacuous(AssertionError):
    """The run shows nothing: no fault fired, too little was tried, or something never ended."""


@dataclass(frozen=True)
class Verdict:
    attempted: int
    acknowledged: int
    lost: frozenset[Hashable]
    """Acknowledged, and not there."""

    unexpected: frozenset[Hashable]
    """There, and never attempted, or taken back."""

    duplicated: frozenset[Hashable]
    recovered: frozenset[Hashable]
    """There without an acknowledgement: the answer was lost, the effect was not."""

    def __str__(self) -> str:
        return (
            f"attempted {self.attempted}, acknowledged {self.acknowledged}, lost {len(self.lost)}, "
            f"unexpected {len(self.unexpected)}, duplicated {len(self.duplicated)}, "
            f"recovered {len(self.recovered)}"
        )

    def hold(self) -> None:
        """Raise `GuaranteeBroken` unless every promise was kept, and nothing else happened."""
        if self.lost or self.unexpected or self.duplicated:
            raise GuaranteeBroken(str(self))


@dataclass
class History:
    attempted: set[Hashable] = field(default_factory=set)
    acknowledged: set[Hashable] = field(default_factory=set)
    taken_back: set[Hashable] = field(default_factory=set)

    def attempt(self, *what: Hashable) -> None:
        self.attempted.update(what)

    def acknowledge(self, *what: Hashable) -> None:
        self.acknowledged.update(what)

    def take_back(self, *what: Hashable) -> None:
        self.taken_back.update(what)

    def compare(self, there: Iterable[Hashable]) -> Verdict:
        """Compare what was promised with what is *there*."""
        times = Counter(there)
        wanted = self.attempted - self.taken_back
        return Verdict(
            attempted=len(self.attempted),
            acknowledged=len(self.acknowledged),
            lost=frozenset(self.acknowledged - times.keys()),
            unexpected=frozenset(times.keys() - wanted),
            duplicated=frozenset(what for what, count in times.items() if count > 1),
            recovered=frozenset(times.keys() & (wanted - self.acknowledged)),
        )


def insist(
    *, faults: int, wanted: int, tried: int, planned: int, progress: int = 1, outstanding: int = 0
) -> None:
    """Raise `Vacuous` unless the run shows something.

    All *wanted* faults fired, at least four fifths of the *planned* operations were tried, there
    was *progress* after the last fault, and nothing is *outstanding*.
    """
    said = f"{faults}/{wanted} faults, {tried}/{planned} tried, {progress=}, {outstanding=}"
    if faults < wanted or tried < 0.8 * planned or progress < 1 or outstanding:
        raise Vacuous(said)
