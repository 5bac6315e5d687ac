"""Who may work, who waits, and who is told to come back later."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil
from time import perf_counter

from serve.errors import OverloadedError
from serve.metrics import Metrics
from serve.timing import Timings

_SMOOTHING = 0.1
"""Weight of the newest turn in the running mean from which Retry-After is estimated."""


class Admission:
    """At most `active` turns at once and `queue_length` waiting for one, first come, first served."""

    def __init__(self, active: int, queue_length: int, metrics: Metrics) -> None:
        self._active = active
        self._queue_length = queue_length
        self._turns = asyncio.Semaphore(active)
        self._waiting = 0
        self._in_turn = 0
        self._mean_turn_s = 0.0
        metrics.waiting.set_function(lambda: self._waiting)
        metrics.active.set_function(lambda: self._in_turn)

    def allow(self, active: int) -> None:
        """From now on so many turns at once, if that is more."""
        for _ in range(active - self._active):
            self._turns.release()
        self._active = max(active, self._active)

    @property
    def active(self) -> int:
        """Most turns at once."""
        return self._active

    @asynccontextmanager
    async def turn(self, timings: Timings) -> AsyncIterator[None]:
        """Wait for a turn and hold it; waiting is counted as `queue`.

        Raises OverloadedError when the queue is full.
        """
        if self._turns.locked() and self._waiting >= self._queue_length:
            raise OverloadedError(
                f"{self._waiting} requests are waiting, the most that may (queue_length). Try again later.",
                retry_after_s=self._retry_after_s(),
            )
        asked = perf_counter()
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        begun = perf_counter()
        timings.add("queue", (begun - asked) * 1000)
        self._in_turn += 1
        try:
            yield
        finally:
            self._turns.release()
            self._in_turn -= 1
            self._mean_turn_s += _SMOOTHING * (perf_counter() - begun - self._mean_turn_s)

    def _retry_after_s(self) -> int:
        """Whole seconds until the present queue has had its turns, at least one."""
        return max(1, ceil(self._waiting * self._mean_turn_s / self._active))
