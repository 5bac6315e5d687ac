"""Threads for one kind of work, so that none of it holds up the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import TypeVar

from serve.timing import Timings

T = TypeVar("T")


class Lane:
    """A pool of `threads`. How much waits before it is bounded by who may call it (see `serve.admission`)."""

    def __init__(self, name: str, threads: int) -> None:
        self.name = name
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run(self, timings: Timings, stage: str | None, work: Callable[..., T], *args: object) -> T:
        """`work(*args)` in a thread: waiting is counted as `queue`, the work as `stage`.

        stage None: work that counts its own stages.

        A caller that is cancelled while it waits never reaches a thread.
        """

        def turn() -> tuple[T, float, float]:
            begun = perf_counter()
            result = work(*args)
            return result, begun, perf_counter()

        asked = perf_counter()
        result, begun, ended = await asyncio.get_running_loop().run_in_executor(self._pool, turn)
        timings.add("queue", (begun - asked) * 1000)
        if stage is not None:
            timings.add(stage, (ended - begun) * 1000)
        return result

    def close(self) -> None:
        """Wait for the work that runs, drop what waits."""
        self._pool.shutdown(wait=True, cancel_futures=True)
