"""Batches of augmented samples: which images a step sees depends on (seed, step) alone (`StepLoader`)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distill.augment import Augmentation
from distill.config import AugmentConfig
from distill.datasets.cached import cached
from distill.datasets.dataset import SegDataset
from distill.sampling import Draw, Sampling
from distill.step_loader import StepLoader
from modelpack.errors import SegError


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


_Augmentee = tuple[NDArray[np.uint8], NDArray[np.uint8], int]
"""Image (H, W, 3), mask (H, W), sample seed."""


class TrainLoader(StepLoader[_Augmentee, Batch]):
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
        pins: bool = False,
    ) -> None:
        sampling = Sampling(len(dataset), batch, seed, rank, world_size)
        augmentation = Augmentation(augment, mean_rgb)
        super().__init__(
            sampling, _Augmented(cached(dataset) if cache else dataset, augmentation), _stack, workers, pins
        )


class _Augmented:
    """The augmented sample of a draw."""

    def __init__(self, dataset: SegDataset, augmentation: Augmentation) -> None:
        self._dataset, self._augmentation = dataset, augmentation

    def __call__(self, draw: Draw) -> _Augmentee:
        sample = self._dataset[draw.index]
        return *self._augmentation(sample.image_hwc, sample.mask_hw, draw.seed), draw.seed


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
