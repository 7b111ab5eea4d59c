"""What a process has asked of its peers: how long it took, what came of it, who is not asked."""

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from time import monotonic
from typing import Final

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from martech.kernel.errors import Error, Unavailable
from martech.kernel.remote.peer import Peer
from martech.kernel.resilience import State

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
STATES: Final[dict[State, int]] = {"closed": 0, "half-open": 1, "open": 2}


class Calls(Collector):
    """One a process; used from every loop in it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str, str], list[int]] = {}
        self._sums: dict[tuple[str, str, str], float] = {}
        self._peers: list[Peer] = []

    @contextmanager
    def watching(self, peer: Peer) -> Iterator[None]:
        """Show the breaker of *peer* while the block runs."""
        with self._lock:
            self._peers.append(peer)
        try:
            yield
        finally:
            with self._lock:
                self._peers.remove(peer)

    @contextmanager
    def timed(self, peer: str, question: str) -> Iterator[None]:
        """Count the call that is made in the block. An error of the module's own is an answer; a
        call that is broken off here is none."""
        began = monotonic()
        try:
            yield
        except Unavailable:
            self._add(peer, question, "unavailable", monotonic() - began)
            raise
        except Error:
            self._add(peer, question, "answered", monotonic() - began)
            raise
        self._add(peer, question, "answered", monotonic() - began)

    def _add(self, peer: str, question: str, outcome: str, seconds: float) -> None:
        key = (peer, question, outcome)
        with self._lock:
            counts = self._counts.setdefault(key, [0] * (len(BUCKETS) + 1))
            counts[bisect_left(BUCKETS, seconds)] += 1
            self._sums[key] = self._sums.get(key, 0.0) + seconds

    def collect(self) -> Iterable[Metric]:
        asked = HistogramMetricFamily(
            "martech_port_seconds",
            "Time until a peer's port answered, or did not.",
            labels=["peer", "question", "outcome"],
        )
        bounds = [*(str(bucket) for bucket in BUCKETS), "+Inf"]
        breakers = GaugeMetricFamily(
            "martech_peer_breaker",
            "Whether a peer is asked: 0 yes, 1 on probation, 2 no. The worst of this process.",
            labels=["peer"],
        )
        with self._lock:
            for key, counts in self._counts.items():
                heights = list(zip(bounds, map(float, accumulate(counts)), strict=True))
                asked.add_metric(key, heights, self._sums[key])
            states: dict[str, int] = {}
            for peer in self._peers:
                worst = max(STATES[peer.breaker.state], states.get(peer.name, 0))
                states[peer.name] = worst
        for name, state in states.items():
            breakers.add_metric([name], state)
        yield from (asked, breakers)
