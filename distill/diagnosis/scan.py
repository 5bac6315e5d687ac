"""Look at every sample of a split once and write down what is there, without judging it."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from distill.datasets.dataset import SegDataset
from distill.datasets.files import FileDataset
from distill.datasets.label_table import UNKNOWN
from distill.datasets.mask_formats import IndexMasks
from distill.datasets.reading import ColourMaskError
from modelpack.errors import DatasetError
from modelpack.labels import IGNORE, LabelSet

_THREADS = 2


@dataclass
class Scan:
    """What a split holds. Names are those of the samples."""

    split: str
    labels: LabelSet
    size: int
    """Samples in the split."""
    looked_at: int
    class_pixels: NDArray[np.int64]
    """(num_classes,)."""
    class_images: NDArray[np.int64]
    """(num_classes,) masks that hold the class."""
    has_index_masks: bool
    """Whether stored values are indices as written in the files, and not colours."""
    has_classes_file: bool = True
    """Whether a `classes.yaml` says what they mean; else those do who published the dataset."""
    ignored_pixels: int = 0
    pixels: int = 0
    stored_values: set[int] = field(default_factory=set)
    """Of the mask files, before the label table."""
    ignored_values: set[int] = field(default_factory=set)
    """Those of them that the dataset ignores."""
    unknown: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Stored value or colour without a meaning -> samples that hold it."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Sample -> what is wrong with its image or mask."""
    colour_masks: dict[str, str] = field(default_factory=dict)
    """The same of those whose mask holds colours where indices are read."""
    mismatched: list[str] = field(default_factory=list)
    """Samples whose image and mask differ in size."""
    without_labels: list[str] = field(default_factory=list)
    digests: dict[bytes, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Hash of the decoded pixels -> samples."""
    sizes: set[tuple[int, int]] = field(default_factory=set)
    """(height, width)."""


@dataclass(frozen=True)
class _Look:
    """One sample."""

    name: str
    problem: str = ""
    is_colour_mask: bool = False
    size: tuple[int, int] = (0, 0)
    mask_size: tuple[int, int] = (0, 0)
    digest: bytes = b""
    stored: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))
    """(256,) pixels of each stored value."""
    unknown: tuple[str, ...] = ()


def scan(
    dataset: SegDataset,
    indices: Sequence[int],
    progress: Callable[[int], None] = lambda _: None,
    *,
    has_classes_file: bool = True,
) -> Scan:
    """`progress` hears the number of samples done."""
    classes = dataset.labels.num_classes
    table = dataset.label_table if isinstance(dataset, FileDataset) else _plain_table(classes)
    found = Scan(
        dataset.split,
        dataset.labels,
        len(dataset),
        len(indices),
        np.zeros(classes, np.int64),
        np.zeros(classes, np.int64),
        isinstance(dataset, FileDataset) and isinstance(dataset.masks, IndexMasks),
        has_classes_file,
    )
    with ThreadPoolExecutor(_THREADS) as pool:
        for done, look in enumerate(pool.map(lambda index: _look(dataset, index, table), indices), 1):
            _add(found, look, table)
            progress(done)
    return found


def _look(dataset: SegDataset, index: int, table: NDArray[np.uint8]) -> _Look:
    if not isinstance(dataset, FileDataset):
        sample = dataset[index]
        return _described(sample.name, sample.image_hwc, sample.mask_hw)
    entry = dataset.entries[index]
    try:
        image_hwc, stored_hw = dataset.raw_image(index), dataset.raw_mask(index)
        unknown_hw = table[stored_hw] == UNKNOWN
        unknown = dataset.masks.name_values(entry.mask_path, unknown_hw) if unknown_hw.any() else []
    except DatasetError as error:
        return _Look(entry.name, str(error), isinstance(error, ColourMaskError))
    return _described(entry.name, image_hwc, stored_hw, tuple(unknown))


def _described(
    name: str, image_hwc: NDArray[np.uint8], stored_hw: NDArray[np.uint8], unknown: tuple[str, ...] = ()
) -> _Look:
    height, width = image_hwc.shape[:2]
    digest = blake2b(f"{height}x{width}:".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image_hwc).data)
    stored = np.bincount(stored_hw.ravel(), minlength=256)
    mask_size = (stored_hw.shape[0], stored_hw.shape[1])
    return _Look(name, "", False, (height, width), mask_size, digest.digest(), stored, unknown)


def _add(found: Scan, look: _Look, table: NDArray[np.uint8]) -> None:
    if look.problem:
        (found.colour_masks if look.is_colour_mask else found.unreadable)[look.name] = look.problem
        return
    if look.size != look.mask_size:
        found.mismatched.append(look.name)
    meaning = np.bincount(table, weights=look.stored, minlength=256).astype(np.int64)
    of_classes = meaning[: found.labels.num_classes]
    found.class_pixels += of_classes
    found.class_images += of_classes > 0
    found.ignored_pixels += int(meaning[IGNORE])
    found.pixels += int(look.stored.sum())
    present = np.flatnonzero(look.stored)
    found.stored_values.update(present.tolist())
    found.ignored_values.update(present[table[present] == IGNORE].tolist())
    for value in look.unknown:
        found.unknown[value].append(look.name)
    if not of_classes.any() and not look.unknown:
        found.without_labels.append(look.name)
    found.digests[look.digest].append(look.name)
    found.sizes.add(look.size)


def _plain_table(num_classes: int) -> NDArray[np.uint8]:
    """The table of masks that are read already; a class index above 253 is the value 254 and no mistake."""
    table = np.full(256, UNKNOWN, np.uint8)
    table[:num_classes] = np.arange(num_classes)
    table[IGNORE] = IGNORE
    return table
