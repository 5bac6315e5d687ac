"""The embedded dataset: street scenes drawn on demand, endless, without a download, in CamVid's classes."""

from pydantic import Field, NonNegativeInt, PositiveInt

from distill.datasets.camvid import CAMVID_LABELS
from distill.datasets.dataset import DatasetSettings, MissingSplitError, Sample
from distill.datasets.street.scene import draw_scene
from distill.seeds import mix


class StreetsSettings(DatasetSettings):
    """How large and how many the scenes are. Equal settings give equal pixels."""

    name: str = "streets"
    root: None = None
    height: int = Field(default=96, ge=32)
    width: int = Field(default=128, ge=32)
    train: PositiveInt = 2000
    """Scenes in the split."""
    val: PositiveInt = 200
    test: PositiveInt = 200
    seed: NonNegativeInt = 0
    """Of the scenes, not of the training run."""


class StreetsDataset:
    """A `SegDataset`: scene `index` of `split` is drawn from (seed, split, index)."""

    def __init__(self, settings: StreetsSettings, split: str, size: int) -> None:
        self.labels = CAMVID_LABELS
        self.split = split
        self._settings = settings
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self._size:
            raise IndexError(f"streets {self.split} has scenes 0 to {self._size - 1}, not {index}.")
        settings = self._settings
        image_hwc, mask_hw = draw_scene(
            mix(f"streets {self.split}", settings.seed, index), settings.height, settings.width
        )
        return Sample(f"{self.split}-{index:05d}", image_hwc, mask_hw)


def open_streets(settings: StreetsSettings, split: str) -> StreetsDataset:
    sizes = {"train": settings.train, "val": settings.val, "test": settings.test}
    if split not in sizes:
        raise MissingSplitError(f"streets has no split {split!r}. Splits: {', '.join(sizes)}.")
    return StreetsDataset(settings, split, sizes[split])
