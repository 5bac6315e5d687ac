"""Prepare the samples of optimiser steps ahead of training, in a thread or in processes.

Which samples a step sees depends on its draws alone: not on the number of processes, nor on restarts. The
global random generators of torch, numpy and Python are neither read nor moved.
"""

import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Generic, TypeVar

import cv2
import torch
from torch.utils.data import DataLoader, Dataset
from torch.utils.data._utils.pin_memory import pin_memory

from distill.interrupt import SIGNALS
from distill.sampling import Draw, Sampling
from modelpack.errors import DatasetError

_AHEAD = 2
"""Batches prepared while a step runs, per worker."""
_START_METHOD = "fork" if sys.platform == "linux" else "spawn"
"""Forked workers share the samples in memory; each spawned one has its own copy. Only Linux forks safely."""

PreparedT = TypeVar("PreparedT")
BatchT = TypeVar("BatchT")


class StepLoader(Generic[PreparedT, BatchT]):
    """The batches of optimiser steps, each made from the draws of its step.

    prepare: reads and augments one sample; spawned worker processes receive a pickled copy.
    stack: joins the samples of a step.
    workers: processes that prepare; 0 = a thread of this process, some steps ahead of training.
    pins: whether batches are put into memory from which a GPU copies while the host goes on; needs CUDA.
    """

    def __init__(
        self,
        sampling: Sampling,
        prepare: Callable[[Draw], PreparedT],
        stack: Callable[[list[PreparedT]], BatchT],
        workers: int = 0,
        pins: bool = False,
    ) -> None:
        self._sampling, self._prepare, self._stack = sampling, prepare, stack
        self._workers, self._pins = workers, pins

    def batches(self, start: int = 0, stop: int | None = None) -> Iterator[BatchT]:
        """Batches of optimiser steps start, start + 1, ... below `stop` (None: for ever)."""
        steps = self._sampling.steps(start, stop)
        return self._from_processes(steps) if self._workers else self._from_thread(steps)

    def _from_processes(self, steps: Iterator[list[Draw]]) -> Iterator[BatchT]:
        # OpenCV's threads do not survive a fork, yet a worker would wait for them: end them before.
        cv2.setNumThreads(0)
        loader: DataLoader[PreparedT | DatasetError] = DataLoader(
            _Prepared(self._prepare),
            batch_sampler=steps,
            num_workers=self._workers,
            collate_fn=partial(_stack_unless_failed, self._stack),
            prefetch_factor=_AHEAD,
            multiprocessing_context=_START_METHOD,
            worker_init_fn=_leave_signals_to_training,
            pin_memory=self._pins,
            generator=torch.Generator(),  # without one, making the iterator moves the global generator
        )
        for batch in loader:
            if isinstance(batch, DatasetError):
                raise batch
            yield batch

    def _from_thread(self, steps: Iterator[list[Draw]]) -> Iterator[BatchT]:
        with ThreadPoolExecutor(1, thread_name_prefix="loader") as thread:
            waiting: deque[Future[BatchT]] = deque()
            try:
                for draws in steps:
                    waiting.append(thread.submit(self._batch, draws))
                    if len(waiting) > _AHEAD:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                thread.shutdown(wait=True, cancel_futures=True)

    def _batch(self, draws: list[Draw]) -> BatchT:
        batch = self._stack([self._prepare(draw) for draw in draws])
        if self._pins:
            batch = pin_memory(batch)  # type: ignore[no-untyped-call]  # untyped in torch
        return batch


def _leave_signals_to_training(worker: int) -> None:
    """Terminals and service managers signal whole groups; training decides when its workers end."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class _Prepared(Dataset[PreparedT | DatasetError]):
    """What a worker process runs. Errors are handed over as values: torch would bury them in a traceback."""

    def __init__(self, prepare: Callable[[Draw], PreparedT]) -> None:
        self._prepare = prepare

    def __getitem__(self, draw: Draw) -> PreparedT | DatasetError:
        try:
            return self._prepare(draw)
        except DatasetError as error:
            return error


def _stack_unless_failed(
    stack: Callable[[list[PreparedT]], BatchT], samples: list[PreparedT | DatasetError]
) -> BatchT | DatasetError:
    read: list[PreparedT] = []
    for sample in samples:
        if isinstance(sample, DatasetError):
            return sample
        read.append(sample)
    return stack(read)
