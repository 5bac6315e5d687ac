"""Requests that may share a run: those of one model whose images have one size at the graph."""

import asyncio
import math
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve.batching.estimate import RunTimes, Size
from serve.timing import Timings

MARGIN_S = 0.005
"""For what no estimate knows: timers, threads that get their turn late."""

Outputs = dict[str, NDArray[Any]]
"""By name, batch first."""


@dataclass(eq=False)
class Waiting:
    """One request before the graph. Moments are those of `time.perf_counter`."""

    images_nhwc: NDArray[np.uint8]
    deadline: float
    """When its answer must be there."""
    arrived: float
    timings: Timings
    answer: "asyncio.Future[Outputs]" = field(repr=False)
    runs_alone: bool = False
    """A run that it shared has failed."""

    @property
    def images(self) -> int:
        return len(self.images_nhwc)


class Bucket:
    """In the order of their deadlines, and of those with the same one first come, first served."""

    def __init__(self, size: Size, full: Sequence[int], max_delay_s: float, times: RunTimes) -> None:
        """full: numbers of images that begin a run at once, ascending; the last is the most there may be."""
        self.size = size
        self._full = full
        self._max_delay_s = max_delay_s
        self._times = times
        self._waiting: list[Waiting] = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, request: Waiting) -> None:
        insort(self._waiting, request, key=lambda other: other.deadline)

    def discard(self, request: Waiting) -> bool:
        """Its client has left, or its time is over. False: it does not wait here any longer."""
        is_here = request in self._waiting
        if is_here:
            self._waiting.remove(request)
        return is_here

    @property
    def deadline(self) -> float:
        """Of the most urgent request."""
        return self._waiting[0].deadline

    def take_lost(self, now: float) -> list[Waiting]:
        """Those whose time is over or whose client has left: they are not to cost a run."""
        lost = [request for request in self._waiting if request.deadline <= now or request.answer.done()]
        self._waiting = [request for request in self._waiting if request not in lost]
        return lost

    def starts_at(self, more_may_come: bool) -> float:
        """When the next run should begin, if nothing comes in the meantime.

        At once where it is full or nobody is on the way; else when the first has waited long enough, or the
        most urgent must begin to be in time.
        """
        images = self._images()
        if not more_may_come or images >= self._full[0] or any(entry.runs_alone for entry in self._waiting):
            return -math.inf
        patience_ends = min(request.arrived for request in self._waiting) + self._max_delay_s
        return min(patience_ends, self.deadline - self._longest_s(images) - MARGIN_S)

    def next_run_s(self) -> float:
        """How long that takes, to its answers."""
        return self._longest_s(min(self._images(), self._full[-1]))

    def take(self, now: float) -> list[Waiting]:
        """The requests of the next run: the most urgent, and those that make none of them late.

        One that will be late even alone holds nobody back.
        """
        first = self._waiting[0]
        chosen, images, tightest = [first], first.images, self._last_moment(first, now)
        limit = self._limit()
        for request in self._waiting[1:] if not first.runs_alone else ():
            joined = images + request.images
            if request.runs_alone or joined > limit:
                continue
            tightest = min(tightest, self._last_moment(request, now))
            if now + self._longest_s(joined) > tightest:
                break
            chosen.append(request)
            images = joined
        self._waiting = [request for request in self._waiting if request not in chosen]
        return chosen

    def _images(self) -> int:
        return sum(request.images for request in self._waiting)

    def _limit(self) -> int:
        """The largest full number that there is; where there is none, all."""
        images = self._images()
        return max((full for full in self._full if full <= images), default=images)

    def _longest_s(self, images: int) -> float:
        return self._times.longest_s(self.size, images)

    def _last_moment(self, request: Waiting, now: float) -> float:
        is_late_anyway = now + self._times.usual_s(self.size, request.images) > request.deadline
        return math.inf if is_late_anyway else request.deadline
