"""Measure a network on a split: one int64 confusion matrix over all images, at the size of the labels."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from distill.compute import Compute
from distill.datasets.dataset import Sample, SegDataset
from distill.distributed import Processes
from distill.networks.output import SegNetwork, normalise
from modelpack.metrics import ConfusionMatrix
from modelpack.preprocess import Resizing

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """One split, measured."""

    confusion: ConfusionMatrix
    per_image: NDArray[np.int64]
    """(images, 3, num_classes): pixels of intersection, prediction and target per image, for resampling."""
    split: str
    images_per_s: float

    @property
    def images(self) -> int:
        return len(self.per_image)


@torch.no_grad()
def evaluate(
    network: SegNetwork,
    dataset: SegDataset,
    compute: Compute,
    *,
    size: tuple[int, int] | None = None,
    batch: int = 1,
    max_images: int | None = None,
    processes: Processes | None = None,
) -> Evaluation:
    """Single scale, no flip. Every image counts once, whatever the number of processes.

    size: (height, width) that the network sees; its logits are brought to the label's size (bilinear) before
    argmax. The network is left in the mode it came in.
    """
    processes = processes or Processes()
    was_training = network.training
    network.eval()
    count = len(dataset) if max_images is None else min(max_images, len(dataset))
    counts = np.zeros((count, network.num_classes, network.num_classes), np.int64)
    indices = range(processes.rank, count, processes.world_size)
    order = iter(indices)
    start = time.perf_counter()
    for samples in _batches(dataset, indices, batch):
        for sample, prediction in zip(samples, predict(network, samples, compute, size), strict=True):
            confusion = ConfusionMatrix(network.num_classes)
            confusion.update(prediction, sample.mask_hw)
            counts[next(order)] = confusion.counts
    total = ConfusionMatrix(network.num_classes)
    total.counts[:] = _summed(counts.sum(0), compute, processes)
    per_image = np.stack([counts.diagonal(axis1=1, axis2=2), counts.sum(1), counts.sum(2)], axis=1)
    network.train(was_training)
    return Evaluation(
        total, _summed(per_image, compute, processes), dataset.split, count / (time.perf_counter() - start)
    )


def _summed(counts: NDArray[np.int64], compute: Compute, processes: Processes) -> NDArray[np.int64]:
    """Over all processes; each has counted its own images and left the others at 0."""
    summed: NDArray[np.int64] = processes.sum(torch.from_numpy(counts).to(compute.device)).cpu().numpy()
    return summed


@torch.no_grad()
def predict(
    network: SegNetwork, samples: list[Sample], compute: Compute, size: tuple[int, int] | None
) -> list[NDArray[np.uint8]]:
    """Masks (H, W) at each sample's own size. All samples of one call must have one size."""
    resizing = Resizing(height=size[0], width=size[1]) if size else Resizing()
    stacked = np.stack([resizing.resize_image(sample.image_hwc) for sample in samples])
    images = torch.from_numpy(stacked).to(compute.device, non_blocking=True)
    with compute.autocast():
        logits = network(normalise(images, network.normalisation)).full_logits(
            (images.shape[1], images.shape[2])
        )
    return list(_argmax_at(logits, samples[0].mask_hw.shape))


def _argmax_at(logits: Tensor, size: tuple[int, ...]) -> NDArray[np.uint8]:
    if tuple(logits.shape[-2:]) != size:
        logits = F.interpolate(logits.float(), size=size, mode="bilinear", align_corners=True)
    masks: NDArray[np.uint8] = logits.argmax(1).to(torch.uint8).cpu().numpy()
    return masks


def _batches(dataset: SegDataset, indices: range, batch: int) -> Iterator[list[Sample]]:
    """Lists of at most `batch` samples that share one size."""
    waiting: list[Sample] = []
    for index in indices:
        sample = dataset[index]
        if waiting and (len(waiting) == batch or sample.mask_hw.shape != waiting[0].mask_hw.shape):
            yield waiting
            waiting = []
        waiting.append(sample)
    if waiting:
        yield waiting
