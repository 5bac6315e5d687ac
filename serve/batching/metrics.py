"""What is counted about runs of several images."""

from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from serve.metrics import SECONDS

IMAGES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)
"""Upper bounds of the buckets of a run's images."""


class BatchMetrics:
    """By `model`, its title. Nothing is counted where nothing is joined."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._images = Histogram(
            "afdcd_batch_images",
            "Images in one run of the graph; its count is that of the runs.",
            ("model",),
            buckets=IMAGES,
            registry=registry,
        )
        self._wait_seconds = Histogram(
            "afdcd_batch_wait_seconds",
            "Time from a decoded image to the begin of its run.",
            ("model",),
            buckets=SECONDS,
            registry=registry,
        )
        self._waiting = Gauge(
            "afdcd_batch_waiting",
            "Requests whose image is decoded and that wait for a run.",
            ("model",),
            registry=registry,
        )
        self._retries = Counter(
            "afdcd_batch_retries_total",
            "Requests that ran again, alone, because a run that they shared had failed.",
            ("model",),
            registry=registry,
        )
        self._dropped = Counter(
            "afdcd_batch_dropped_total",
            "Requests that left before their run: their time was over, or their client gone.",
            ("model",),
            registry=registry,
        )

    def of(self, model: str) -> "LineMetrics":
        """Those of one model; from now on they are shown, with zeros."""
        return LineMetrics(
            self._images.labels(model),
            self._wait_seconds.labels(model),
            self._waiting.labels(model),
            self._retries.labels(model),
            self._dropped.labels(model),
        )


@dataclass(frozen=True)
class LineMetrics:
    """One model's, looked up once."""

    images: Histogram
    wait_seconds: Histogram
    waiting: Gauge
    retries: Counter
    dropped: Counter

    def count_run(self, images: int, waits_s: Sequence[float]) -> None:
        """One run that begins, with the wait of each of its requests."""
        self.waiting.dec(len(waits_s))
        self.images.observe(images)
        for wait_s in waits_s:
            self.wait_seconds.observe(wait_s)

    def count_dropped(self, requests: int) -> None:
        """Requests that wait no longer and get no run."""
        self.waiting.dec(requests)
        self.dropped.inc(requests)
