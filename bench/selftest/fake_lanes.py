"""The planted behaviour of the fake server, and when each request is done under it."""

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt

from bench.timing import NS_PER_MS
from modelpack.settings import StrictModel

DRAWN = 65536
"""Jitters drawn beforehand, then taken in turn."""


class LoadBehaviour(StrictModel):
    """What is done to the n-th request since the server started."""

    service_ms: NonNegativeFloat
    """Time a lane holds a request."""
    lanes: NonNegativeInt = 1
    """Requests in service at once, first come first served; 0: all of them."""
    jitter_ms: NonNegativeFloat = 0.0
    """Mean of an exponential delay on top of the service time."""
    stall_request: NonNegativeInt | None = None
    """Before this request (the first is 0) ..."""
    stall_ms: NonNegativeFloat = 0.0
    """... every lane stands still for this long."""
    fail_every: PositiveInt | None = None
    """Requests so many apart are answered 503."""
    answer_bytes: PositiveInt = 16
    seed: NonNegativeInt = 0

    def fails(self, number: int) -> bool:
        return self.fail_every is not None and (number + 1) % self.fail_every == 0

    def service_ns(self) -> list[int]:
        """Time in service of the first `DRAWN` requests, stalls aside."""
        jitter_ms = np.random.default_rng(self.seed).exponential(self.jitter_ms, DRAWN)
        times_ns: list[int] = ((self.service_ms + jitter_ms) * NS_PER_MS).astype(np.int64).tolist()
        return times_ns


class FakeLanes:
    """Lindley's recursion over several lanes: who finds none free waits for the first that will be."""

    def __init__(self, behaviour: LoadBehaviour) -> None:
        self._behaviour = behaviour
        self._service_ns = behaviour.service_ns()
        self._free_ns = [0] * behaviour.lanes
        self._requests = 0

    def done_ns(self, came_ns: int) -> int:
        """For the next request, in order of arrival."""
        number, self._requests = self._requests, self._requests + 1
        if number == self._behaviour.stall_request:
            stall_end_ns = came_ns + int(self._behaviour.stall_ms * NS_PER_MS)
            self._free_ns = [max(free_ns, stall_end_ns) for free_ns in self._free_ns]
        service_ns = self._service_ns[number % DRAWN]
        if not self._free_ns:
            return came_ns + service_ns
        done_ns = max(came_ns, self._free_ns[0]) + service_ns
        heapq.heapreplace(self._free_ns, done_ns)
        return done_ns


def ideal_latency_ms(behaviour: LoadBehaviour, came_ns: Sequence[int]) -> NDArray[np.float64]:
    """(n,) what requests that come at exactly these times would take, with nothing lost on the way."""
    lanes = FakeLanes(behaviour)
    return np.array([lanes.done_ns(at_ns) - at_ns for at_ns in came_ns]) / NS_PER_MS
