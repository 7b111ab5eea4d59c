"""When to stop asking somebody who fails, and how often to ask again."""

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Literal

State = Literal["closed", "half-open", "open"]


class Breaker:
    """Stops asking who fails, for a while. It belongs to one event loop.

        closed ──half of the recent calls failed──▶ open ──after a rest──▶ half-open
           ▲                                         ▲                         │
           └──── fewer than half of the probes ──────┼─────────────────────────┤
                                                     └── half of the probes ───┘

    Recent are the last *window* calls of the last *memory* seconds, if they are at least *least*.
    Half-open lets *probes* calls through and refuses the others until these have ended.
    """

    SHARE = 0.5

    def __init__(
        self,
        *,
        window: int = 100,
        memory: float = 30.0,
        least: int = 10,
        rest: float = 5.0,
        probes: int = 3,
        clock: Callable[[], float] = monotonic,
        changed: Callable[[State], None] = lambda state: None,
    ) -> None:
        """*changed* is told of every new state."""
        self._changed = changed
        self._memory, self._least, self._rest, self._probes = memory, least, rest, probes
        self._clock = clock
        self._recent: deque[tuple[float, bool]] = deque(maxlen=window)
        self._again = 0.0
        self._under_way = 0
        self._epoch = 0
        """Counts the changes of state: what began in another one says nothing of this."""

        self.state: State = "closed"

    def enter(self) -> "Call | None":
        """A call that may be made, and must be ended; None while none may be."""
        if self.state == "open" and self._clock() >= self._again:
            self._become("half-open")
        if self.state == "open":
            return None
        if self.state == "half-open":
            if self._under_way + len(self._recent) >= self._probes:
                return None
            self._under_way += 1
        return Call(self, self._epoch)

    def rest(self) -> float:
        """Seconds until it is worth asking again."""
        return max(0.0, self._again - self._clock()) if self.state == "open" else 0.0

    def ended(self, epoch: int, failed: bool | None) -> None:
        """A call of *epoch* went well or *failed*; with None nobody knows, and it never was."""
        if epoch != self._epoch:
            return
        self._under_way = max(0, self._under_way - 1)
        if failed is not None:
            self._recent.append((self._clock(), failed))
            self._judge()

    def _judge(self) -> None:
        if self.state == "half-open":
            if len(self._recent) >= self._probes:
                self._become("open" if self._failing() else "closed")
            return
        oldest = self._clock() - self._memory
        while self._recent[0][0] < oldest:
            self._recent.popleft()
        if len(self._recent) >= self._least and self._failing():
            self._become("open")

    def _failing(self) -> bool:
        return sum(failed for _, failed in self._recent) >= self.SHARE * len(self._recent)

    def _become(self, state: State) -> None:
        self.state = state
        self._epoch += 1
        self._under_way = 0
        self._recent.clear()
        if state == "open":
            self._again = self._clock() + self._rest
        self._changed(state)


class Call:
    """One call that a breaker let through; it is ended once."""

    __slots__ = ("_breaker", "_epoch")

    def __init__(self, breaker: Breaker, epoch: int) -> None:
        self._breaker, self._epoch = breaker, epoch

    def succeeded(self) -> None:
        self._breaker.ended(self._epoch, failed=False)

    def failed(self) -> None:
        self._breaker.ended(self._epoch, failed=True)

    def left(self) -> None:
        """It was broken off on our side, which says nothing of whoever was asked."""
        self._breaker.ended(self._epoch, failed=None)


class Budget:
    """How often a lost answer may be asked for again: each call earns a part of one retry, so that
    whoever is overwhelmed is asked a tenth more and not twice as much."""

    def __init__(self, share: float = 0.1, most: float = 10.0) -> None:
        self._share, self._most = share, most
        self._kept = 1.0

    def earn(self) -> None:
        self._kept = min(self._most, self._kept + self._share)

    def spend(self) -> bool:
        """Whether one more may be made; then it is paid for."""
        if self._kept < 1.0:
            return False
        self._kept -= 1.0
        return True
