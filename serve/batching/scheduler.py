"""Decides which images run together, and when: one run at a time, the most urgent first."""

import asyncio
import logging
from collections.abc import Sequence
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from serve.batching.bucket import Bucket, Outputs, Waiting
from serve.batching.estimate import Size
from serve.batching.line import Line
from serve.batching.metrics import BatchMetrics
from serve.lane import Lane
from serve.timing import Timings

logger = logging.getLogger(__name__)

TICK_S = 0.001
"""uvloop's timers count whole milliseconds: what is due within one is due."""

Key = tuple[Line, Size]


class Scheduler:
    """Of all models of a process, because they share its device.

    Everything but the runs themselves happens on the event loop, and takes microseconds.
    """

    def __init__(self, metrics: BatchMetrics) -> None:
        self.metrics = metrics
        self._lane = Lane("batch", 1)
        self._buckets: dict[Key, Bucket] = {}
        """Those in which somebody waits."""
        self._running: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._looks_soon = False

    async def infer(
        self, line: Line, images_nhwc: NDArray[np.uint8], deadline: float, timings: Timings
    ) -> Outputs:
        """The graph's outputs for the images of one request, (N, H, W, 3), in a run with others.

        deadline: when the answer must be there, by `time.perf_counter`; no run is begun after it, and
        TimeoutError raised. Cancelled, the request leaves its queue; a run that has begun goes on for the
        others.
        """
        loop = asyncio.get_running_loop()
        request = Waiting(images_nhwc, deadline, perf_counter(), timings, loop.create_future())
        key = line, images_nhwc.shape[1:3]
        self._add(key, request)
        try:
            return await request.answer
        except asyncio.CancelledError:
            if (bucket := self._buckets.get(key)) is not None and bucket.discard(request):
                line.metrics.count_dropped(1)
                self._forget(key)
            raise

    def look_soon(self) -> None:
        """Decide anew when the task that now runs has gone as far as it goes."""
        if not self._looks_soon:
            self._looks_soon = True
            asyncio.get_running_loop().call_soon(self._look)

    async def settle(self) -> None:
        """Wait for the run in hand, if there is one."""
        if self._running is not None:
            await asyncio.wait((self._running,))

    def close(self) -> None:
        """Wait for the run in hand. Called when no request is in flight."""
        if self._timer is not None:
            self._timer.cancel()
        self._lane.close()

    def _add(self, key: Key, request: Waiting) -> None:
        if key not in self._buckets:
            line, size = key
            self._buckets[key] = line.new_bucket(size)
        self._buckets[key].add(request)
        key[0].metrics.waiting.inc()
        self.look_soon()

    def _forget(self, key: Key) -> None:
        if not self._buckets[key]:
            del self._buckets[key]

    def _look(self) -> None:
        """Begin a run, or come back when one should begin."""
        self._looks_soon = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._running is not None:
            return
        now = perf_counter()
        self._drop_lost(now)
        if not self._buckets:
            return
        starts = {key: bucket.starts_at(key[0].more_may_come) for key, bucket in self._buckets.items()}
        ready = [key for key, start in starts.items() if start <= now + TICK_S]
        if not ready:
            wait_s = min(starts.values()) - now
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._look)
            return
        key = self._most_urgent(ready, now)
        requests = self._buckets[key].take(now)
        self._forget(key)
        self._running = asyncio.get_running_loop().create_task(self._run(key, requests))

    def _most_urgent(self, ready: Sequence[Key], now: float) -> Key:
        """The ready bucket with the earliest deadline, unless its run would make a more urgent one late."""
        first = min(ready, key=lambda key: self._buckets[key].deadline)
        free_again = now + self._buckets[first].next_run_s()
        endangered = [
            key
            for key, bucket in self._buckets.items()
            if bucket.deadline < self._buckets[first].deadline
            and free_again + bucket.next_run_s() > bucket.deadline
        ]
        return min(endangered, key=lambda key: self._buckets[key].deadline, default=first)

    def _drop_lost(self, now: float) -> None:
        for key, bucket in list(self._buckets.items()):
            lost = bucket.take_lost(now)
            for request in lost:
                if not request.answer.done():
                    request.answer.set_exception(TimeoutError())
            key[0].metrics.count_dropped(len(lost))
            self._forget(key)

    async def _run(self, key: Key, requests: Sequence[Waiting]) -> None:
        line, size = key
        begun = perf_counter()
        waits_s = [begun - request.arrived for request in requests]
        for request, wait_s in zip(requests, waits_s, strict=True):
            request.timings.add("batch", wait_s * 1000)
        images = sum(request.images for request in requests)
        line.metrics.count_run(images, waits_s)
        try:
            outputs = await self._lane.run(
                Timings(), None, line.compute, [request.images_nhwc for request in requests]
            )
            took_s = perf_counter() - begun
            line.times.add(size, images, took_s)
            _hand_out(requests, outputs, took_s)
        except Exception as error:
            self._failed(key, requests, error)
        finally:
            self._running = None
            self.look_soon()

    def _failed(self, key: Key, requests: Sequence[Waiting], error: Exception) -> None:
        """Whose fault it was, each one's own run will show."""
        there = [request for request in requests if not request.answer.done()]
        if len(requests) == 1:
            for request in there:
                request.answer.set_exception(error)
            return
        line, _ = key
        logger.warning(
            "%s: a run of %d requests failed, each runs alone now: %s", line.title, len(requests), error
        )
        line.metrics.retries.inc(len(there))
        for request in there:
            request.runs_alone = True
            request.arrived = perf_counter()
            self._add(key, request)


def _hand_out(requests: Sequence[Waiting], outputs: Outputs, took_s: float) -> None:
    """Each request its own images of every output."""
    images = sum(request.images for request in requests)
    start = 0
    for request in requests:
        end = start + request.images
        if not request.answer.done():
            request.timings.add("infer", took_s * 1000)
            request.timings.run = images, start == 0
            request.answer.set_result({name: array[start:end] for name, array in outputs.items()})
        start = end
