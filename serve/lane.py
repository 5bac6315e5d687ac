"""Threads for one kind of work, so that none of it holds up the event loop."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from time import perf_counter
from typing import Any, TypeVar

from serve.timing import Timings

T = TypeVar("T")
Answer = asyncio.Future[tuple[Any, float, float]]
"""What the work gave, when it was begun and when it ended, by `perf_counter`."""
Job = tuple[Answer, Callable[..., Any], tuple[object, ...]]


class Lane:
    """So many `threads`. How much waits for them is bounded by who may call it (see `serve.admission`).

    A pool of concurrent.futures makes two futures and takes four locks for each call. Where the thread and
    the event loop share a core with a small graph, that is a good part of what a request costs beside it.
    """

    def __init__(self, name: str, threads: int) -> None:
        self.name = name
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads = [
            Thread(target=self._work, name=f"{name}_{number}", daemon=True) for number in range(threads)
        ]
        self._state = "new"

    async def run(self, timings: Timings, stage: str | None, work: Callable[..., T], *args: object) -> T:
        """`work(*args)` in a thread: waiting is counted as `queue`, the work as `stage`.

        stage None: work that counts its own stages.

        A caller that is cancelled while it waits never reaches a thread.
        """
        if self._state != "open":
            self._open()
        answer: Answer = asyncio.get_running_loop().create_future()
        asked = perf_counter()
        self._jobs.put((answer, work, args))
        result: T
        result, begun, ended = await answer
        timings.add("queue", (begun - asked) * 1000)
        if stage is not None:
            timings.add(stage, (ended - begun) * 1000)
        return result

    def close(self) -> None:
        """Wait for the work that runs, drop what waits."""
        was_open, self._state = self._state == "open", "closed"
        while not self._jobs.empty():
            if (job := self._jobs.get()) is not None:
                _tell(job[0], job[0].cancel)
        if was_open:
            for _ in self._threads:
                self._jobs.put(None)
            for thread in self._threads:
                thread.join()

    def _open(self) -> None:
        """Threads begin with the first work: a process that forks before it has none."""
        if self._state == "closed":
            raise RuntimeError(f"lane {self.name} is closed")
        self._state = "open"
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            _do(*job)
            del job  # the images in it are not kept until the next one comes


def _do(answer: Answer, work: Callable[..., Any], args: tuple[object, ...]) -> None:
    if answer.cancelled():
        return
    begun = perf_counter()
    try:
        result = work(*args)
    except BaseException as error:
        _tell(answer, _fail, answer, error)
    else:
        _tell(answer, _succeed, answer, (result, begun, perf_counter()))


def _tell(answer: Answer, settle: Callable[..., object], *args: object) -> None:
    """Have the caller's event loop do it; nobody waits any more where that is closed."""
    with suppress(RuntimeError):
        answer.get_loop().call_soon_threadsafe(settle, *args)


def _succeed(answer: Answer, outcome: tuple[Any, float, float]) -> None:
    if not answer.done():
        answer.set_result(outcome)


def _fail(answer: Answer, error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)
