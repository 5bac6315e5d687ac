"""A histogram of durations that only the event loop writes: no lock, and one search instead of a loop."""

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Durations(Collector):
    """As prometheus_client's own Histogram with one label shows itself; that takes two locks for each value.

    A request writes half a dozen of them, on the core that computes its mask.
    """

    def __init__(
        self, name: str, text: str, label: str, bounds_s: Sequence[float], registry: CollectorRegistry
    ) -> None:
        """bounds_s: upper bounds of the buckets, ascending; one without a bound comes after them."""
        self._name, self._text, self._label = name, text, label
        self._bounds_s = tuple(bounds_s)
        self._counts: dict[str, list[int]] = {}
        """By the label's value: how many fell into each bucket, not into those below."""
        self._sums_s: dict[str, float] = {}
        self._created: dict[str, float] = {}
        registry.register(self)

    def observe(self, value: str, seconds: float) -> None:
        """Count one duration under this value of the label."""
        if value not in self._counts:
            self._created[value] = time.time()
            self._sums_s[value] = 0.0
            self._counts[value] = [0] * (len(self._bounds_s) + 1)
        self._counts[value][bisect_left(self._bounds_s, seconds)] += 1
        self._sums_s[value] += seconds

    def describe(self) -> list[HistogramMetricFamily]:
        """What it is, before there are any values."""
        return [self._family()]

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """All values of the label."""
        bounds = [_written(bound) for bound in (*self._bounds_s, float("inf"))]
        family = self._family()
        for value, counts in list(self._counts.items()):
            buckets = list(zip(bounds, accumulate(counts), strict=True))
            family.add_metric([value], buckets, self._sums_s[value])
            family.add_sample(f"{self._name}_created", {self._label: value}, self._created[value])
        yield family

    def _family(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self._name, self._text, labels=(self._label,))


def _written(bound_s: float) -> str:
    """As Prometheus writes numbers."""
    text: str = floatToGoString(bound_s)  # type: ignore[no-untyped-call]
    return text
