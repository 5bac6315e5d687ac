"""Keep a dataset's decoded samples in memory."""

import logging
import time
from collections.abc import Iterator

from distill.datasets.dataset import Sample, SegDataset

logger = logging.getLogger(__name__)

_MAX_BYTES = 4 << 30
_REPORT_EVERY_S = 5.0


class CachedDataset:
    """A `SegDataset` whose samples were all read once; processes forked later share them."""

    def __init__(self, dataset: SegDataset) -> None:
        self.labels = dataset.labels
        self.split = dataset.split
        self._samples = list(_reported(dataset))

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        return self._samples[index]


def cached(dataset: SegDataset, max_bytes: int = _MAX_BYTES) -> SegDataset:
    """The dataset in memory, or itself where it takes more than `max_bytes` (judged by its first sample)."""
    first = dataset[0]
    needed = (first.image_hwc.nbytes + first.mask_hw.nbytes) * len(dataset)
    if needed > max_bytes:
        logger.info(
            "%s: %.1f GB decoded, not kept in memory (limit %.1f GB)",
            dataset.split,
            needed / 1e9,
            max_bytes / 1e9,
        )
        return dataset
    return CachedDataset(dataset)


def _reported(dataset: SegDataset) -> Iterator[Sample]:
    """Every sample in order; logs how far it is every few seconds."""
    last = time.monotonic()
    for index in range(len(dataset)):
        yield dataset[index]
        if time.monotonic() - last > _REPORT_EVERY_S:
            last = time.monotonic()
            logger.info("%s: %d of %d images read", dataset.split, index + 1, len(dataset))
