"""Launch kernel by kernel or as one captured CUDA graph: tried out for every shape, the faster one stays."""

import statistics
from typing import Literal

Way = Literal["direct", "graph"]

TRIALS = 8
"""Calls of each way, in turn, that decide."""
MOST_POSTPONED = 64
"""Calls for which a shape may wait to become capturable."""


class GraphChoice:
    """For one shape. The first call is direct and not counted: kernels are loaded in it."""

    def __init__(self) -> None:
        self._seconds: dict[Way, list[float]] = {"direct": [], "graph": []}
        self._is_warm = False
        self._postponed = 0
        self.decided: Way | None = None

    def next(self) -> Way:
        """How to launch the next call."""
        if self.decided is not None:
            return self.decided
        direct, graph = (len(self._seconds[way]) for way in ("direct", "graph"))
        return "direct" if not self._is_warm or direct <= graph else "graph"

    def add(self, way: Way, seconds: float) -> None:
        """What a call took from its first launch to its end."""
        if self.decided is not None:
            return
        if not self._is_warm:
            self._is_warm = True
            return
        self._seconds[way].append(seconds)
        if all(len(samples) >= TRIALS for samples in self._seconds.values()):
            medians = {name: statistics.median(samples) for name, samples in self._seconds.items()}
            self.decided = "graph" if medians["graph"] < medians["direct"] else "direct"

    def postpone(self) -> None:
        """The shape cannot be captured yet: TensorRT-RTX still compiles kernels for it."""
        self._postponed += 1
        if self._postponed >= MOST_POSTPONED:
            self.give_up()

    def give_up(self) -> None:
        """The shape cannot be captured."""
        self.decided = "direct"
