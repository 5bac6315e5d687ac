"""Batches of augmented samples: which images a step sees depends on (seed, step) alone.

Not on the number of worker processes, of training processes, or of restarts. The global random generators of
torch, numpy and Python are neither read nor moved.
"""

import signal
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from distill.augment import Augmentation
from distill.config import AugmentConfig
from distill.datasets.cached import cached
from distill.datasets.dataset import SegDataset
from distill.interrupt import SIGNALS
from distill.sampling import Draw, Sampling
from modelpack.errors import DatasetError, SegError

_AHEAD = 2
"""Batches prepared while a step runs, per worker."""
_START_METHOD = "fork" if sys.platform == "linux" else "spawn"
"""Forked workers share the samples in memory; each spawned one has its own copy. Only Linux forks safely."""


class LoaderError(SegError):
    """A worker process is gone."""


class Batch(NamedTuple):
    """The share of one process in the images of one optimiser step."""

    images: Tensor
    """(N, H, W, 3) uint8 RGB."""
    masks: Tensor
    """(N, H, W) uint8 class indices, 255 = ignored."""
    sample_seeds: tuple[int, ...]
    """One per image, from (run seed, epoch, index); see `StepContext`."""


class TrainLoader:
    """Endless shuffled epochs of `dataset`; a batch may span two of them.

    batch: images per optimiser step over all processes, a multiple of `world_size`; ranks take equal,
        contiguous parts of it.
    workers: processes that read and augment; 0 = a thread of this process, some steps ahead of training.
    """

    def __init__(
        self,
        dataset: SegDataset,
        augment: AugmentConfig,
        *,
        mean_rgb: Sequence[float],
        batch: int,
        seed: int,
        workers: int = 0,
        cache: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._sampling = Sampling(len(dataset), batch, seed, rank, world_size)
        self._dataset = cached(dataset) if cache else dataset
        self._augmentation = Augmentation(augment, mean_rgb)
        self._workers = workers

    def batches(self, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        """Batches of optimiser steps start, start + 1, ... below `stop` (None: for ever)."""
        steps = self._sampling.steps(start, stop)
        return self._from_processes(steps) if self._workers else self._from_thread(steps)

    def _from_processes(self, steps: Iterator[list[Draw]]) -> Iterator[Batch]:
        # OpenCV's threads do not survive a fork, yet a worker would wait for them: end them before.
        cv2.setNumThreads(0)
        loader = DataLoader(
            _Augmented(self._dataset, self._augmentation),
            batch_sampler=steps,
            num_workers=self._workers,
            collate_fn=_stack_unless_failed,
            prefetch_factor=_AHEAD,
            multiprocessing_context=_START_METHOD,
            worker_init_fn=_leave_signals_to_training,
            generator=torch.Generator(),  # without one, making the iterator moves the global generator
        )
        for batch in loader:
            if isinstance(batch, DatasetError):
                raise batch
            yield batch

    def _from_thread(self, steps: Iterator[list[Draw]]) -> Iterator[Batch]:
        with ThreadPoolExecutor(1, thread_name_prefix="loader") as thread:
            waiting: deque[Future[Batch]] = deque()
            try:
                for draws in steps:
                    waiting.append(thread.submit(self._batch, draws))
                    if len(waiting) > _AHEAD:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                thread.shutdown(wait=True, cancel_futures=True)

    def _batch(self, draws: list[Draw]) -> Batch:
        return _stack([_augmented(self._dataset, self._augmentation, draw) for draw in draws])


_Augmentee = tuple[NDArray[np.uint8], NDArray[np.uint8], int]
"""Image (H, W, 3), mask (H, W), sample seed."""


def _augmented(dataset: SegDataset, augmentation: Augmentation, draw: Draw) -> _Augmentee:
    sample = dataset[draw.index]
    return *augmentation(sample.image_hwc, sample.mask_hw, draw.seed), draw.seed


def _stack(samples: list[_Augmentee]) -> Batch:
    images, masks, seeds = zip(*samples, strict=True)
    return Batch(torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(masks)), tuple(seeds))


@contextmanager
def worker_deaths_explained() -> Iterator[None]:
    """Around the training loop: torch reports a dead worker wherever the training process stands then.

    Raises LoaderError for it, also where the pipe to the worker breaks before torch notices.
    """
    try:
        yield
    except (RuntimeError, ConnectionError, EOFError) as error:
        if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
            raise
        told = (str(error).splitlines() or [type(error).__name__])[0].strip(" .")
        raise LoaderError(
            f"a loader process died ({told}). Most likely memory or shared memory "
            "(/dev/shm; docker run --shm-size) ran out: give more, or set compute.workers=0. "
            "The same command goes on from the last saved state."
        ) from error


def _leave_signals_to_training(worker: int) -> None:
    """Terminals and service managers signal whole groups; training decides when its workers end."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class _Augmented(Dataset[_Augmentee | DatasetError]):
    """What a worker process runs. Errors are handed over as values: torch would bury them in a traceback."""

    def __init__(self, dataset: SegDataset, augmentation: Augmentation) -> None:
        self._dataset = dataset
        self._augmentation = augmentation

    def __getitem__(self, draw: Draw) -> _Augmentee | DatasetError:
        try:
            return _augmented(self._dataset, self._augmentation, draw)
        except DatasetError as error:
            return error


def _stack_unless_failed(samples: list[_Augmentee | DatasetError]) -> Batch | DatasetError:
    read: list[_Augmentee] = []
    for sample in samples:
        if isinstance(sample, DatasetError):
            return sample
        read.append(sample)
    return _stack(read)
