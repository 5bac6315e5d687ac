"""What every dataset is: a list of images with masks in one common form."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator, model_validator

from modelpack.errors import DatasetError
from modelpack.labels import LabelSet
from modelpack.settings import StrictModel


class DatasetSettings(StrictModel):
    """Base of every dataset's settings. `name` is the key in the table `DATASETS`."""

    name: str
    root: Path | None = None
    """Folder of the data as distributed. Generated datasets need none."""
    unlabelled: Path | None = None
    """A folder of further images, without labels, that methods learn from beside the train split."""
    learn_from: Literal["unlabelled"] | None = None
    """None: the train split, and `unlabelled` beside it. `unlabelled`: methods learn from those images alone,
    and the dataset gives the classes and what is measured on."""

    @field_validator("root", "unlabelled")
    @classmethod
    def _from_home(cls, folder: Path | None) -> Path | None:
        """Shells leave the `~` of `data.root=~/mydata` as it is."""
        return folder.expanduser() if folder is not None else None

    @model_validator(mode="after")
    def _has_what_it_learns_from(self) -> Self:
        if self.learn_from is not None and self.unlabelled is None:
            raise ValueError("learn_from needs the folder of these images: data.unlabelled=/path/to/images")
        return self


@dataclass(frozen=True)
class Sample:
    """One image and its mask."""

    name: str
    image_hwc: NDArray[np.uint8]
    """RGB, (H, W, 3)."""
    mask_hw: NDArray[np.uint8]
    """Class indices, (H, W); 255 = ignored."""


class SegDataset(Protocol):
    """One split. Reading the same index twice gives the same sample, from any process."""

    labels: LabelSet
    split: str

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


class MissingSplitError(DatasetError):
    """A dataset without this split: no mistake where nobody asked for it."""


OpenDataset = Callable[[Any, str], SegDataset]
"""(settings of its own class, split: train | val | test) -> dataset.

Raises DatasetError for what cannot be opened, MissingSplitError for a split that is not there.
"""
