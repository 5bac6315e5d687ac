"""What one process of the service counts. One registry per application."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from serve.durations import Durations
from serve.timing import Timings

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the histograms' buckets: from a small graph on a GPU to the default deadline."""


class Metrics:
    """All metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "afdcd_requests_total",
            "Requests by route and status.",
            ("route", "status"),
            registry=self.registry,
        )
        self._answered: dict[tuple[str, int], Counter] = {}
        """Children of it by their labels: `labels` itself looks with a lock."""
        self._request_seconds = Durations(
            "afdcd_request_seconds",
            "From the request's header to the end of its answer.",
            "route",
            SECONDS,
            self.registry,
        )
        self._stage_seconds = Durations(
            "afdcd_stage_seconds", "Time in each stage of an answered image.", "stage", SECONDS, self.registry
        )
        self._refusals = Counter(
            "afdcd_problems_total",
            "Requests answered with a problem, by error.",
            ("error",),
            registry=self.registry,
        )
        self.waiting = Gauge(
            "afdcd_queue_depth", "Requests that wait for their turn.", registry=self.registry
        )
        self.active = Gauge(
            "afdcd_active_requests", "Requests that are being worked on.", registry=self.registry
        )
        self.ready = Gauge("afdcd_ready", "1 while the service is ready, else 0.", registry=self.registry)

    def count_request(self, route: str, status: int, seconds: float, error: str) -> None:
        if (route, status) not in self._answered:
            self._answered[route, status] = self._requests.labels(route, str(status))
        self._answered[route, status].inc()
        self._request_seconds.observe(route, seconds)
        if error:
            self._refusals.labels(error).inc()

    def observe_stages(self, timings: Timings) -> None:
        for stage, duration_ms in timings.stages_ms.items():
            self._stage_seconds.observe(stage, duration_ms / 1000)
