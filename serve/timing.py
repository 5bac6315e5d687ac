"""Where the time of one request went."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter_ns


class Timings:
    """Milliseconds by stage, in the order in which they were first met; a stage met again is summed."""

    def __init__(self, request_id: str = "") -> None:
        self.request_id = request_id
        self.stages_ms: dict[str, float] = {}
        self.visits: list[tuple[str, int, int]] = []
        """Stage, begin and end of each time that it was measured, by `perf_counter_ns`."""
        self.run: tuple[int, bool] | None = None
        """Of a request that was joined with others: images in their run, and whether it came first there."""

    def add(self, name: str, duration_ms: float) -> None:
        """Count `duration_ms` that end now."""
        self.stages_ms[name] = self.stages_ms.get(name, 0.0) + duration_ms
        now_ns = perf_counter_ns()
        self.visits.append((name, now_ns - int(duration_ms * 1e6), now_ns))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time inside as `name`."""
        begun_ns = perf_counter_ns()
        yield
        self.add(name, (perf_counter_ns() - begun_ns) / 1e6)

    def header(self) -> str:
        """The value of `Server-Timing`: `decode;dur=0.49, queue;dur=0.02, ...`, durations in milliseconds."""
        return ", ".join(f"{name};dur={duration_ms:.2f}" for name, duration_ms in self.stages_ms.items())
