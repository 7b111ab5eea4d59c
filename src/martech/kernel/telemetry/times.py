"""How long requests took: numbers for Prometheus."""

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector


class RequestTimes(Collector):
    """How long requests took, by route template, method and class of status.

    Used from one event loop. A hundred times cheaper to add to than a labelled histogram:
    no lock, no look-up of labels, a bisection in place of a walk.
    """

    BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, int], list[int]] = {}
        self._sums: dict[tuple[str, str, int], float] = {}

    def add(self, route: str, method: str, status: int, seconds: float) -> None:
        key = (route, method, status // 100)
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = [0] * (len(self.BUCKETS) + 1)
            self._sums[key] = 0.0
        counts[bisect_left(self.BUCKETS, seconds)] += 1
        self._sums[key] += seconds

    def collect(self) -> Iterable[Metric]:
        family = HistogramMetricFamily(
            "martech_http_request_seconds",
            "Time to answer HTTP requests, by route.",
            labels=["route", "method", "status"],
        )
        bounds = [*(str(bucket) for bucket in self.BUCKETS), "+Inf"]
        for (route, method, status), counts in list(self._counts.items()):
            buckets = list(zip(bounds, map(float, accumulate(counts)), strict=True))
            labels = [route, method, f"{status}xx"]
            family.add_metric(labels, buckets, self._sums[route, method, status])
        yield family
