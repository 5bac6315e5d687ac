"""Where the time of one request went."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


class Timings:
    """Milliseconds by stage, in the order in which they were first met; a stage met again is summed."""

    def __init__(self) -> None:
        self.stages_ms: dict[str, float] = {}

    def add(self, name: str, duration_ms: float) -> None:
        self.stages_ms[name] = self.stages_ms.get(name, 0.0) + duration_ms

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time inside as `name`."""
        begun = perf_counter()
        yield
        self.add(name, (perf_counter() - begun) * 1000)

    def header(self) -> str:
        """The value of `Server-Timing`: `decode;dur=0.49, queue;dur=0.02, ...`, durations in milliseconds."""
        return ", ".join(f"{name};dur={duration_ms:.2f}" for name, duration_ms in self.stages_ms.items())
