"""The table of datasets. A new one is a file beside this and a line below."""

from dataclasses import dataclass

from distill.datasets.ade20k import Ade20kSettings, open_ade20k
from distill.datasets.camvid import CamVidSettings, open_camvid
from distill.datasets.cityscapes import CityscapesSettings, open_cityscapes
from distill.datasets.coco_stuff import CocoStuffSettings, open_coco_stuff
from distill.datasets.dataset import DatasetSettings, MissingSplitError, OpenDataset, SegDataset
from distill.datasets.folder import FolderSettings, open_folder
from distill.datasets.images import ImagesSettings, find_images, open_images
from distill.datasets.joined import JoinedDataset
from distill.datasets.pascal_context import PascalContextSettings, open_pascal_context
from distill.datasets.streets import StreetsSettings, open_streets
from distill.datasets.voc import VocSettings, open_voc
from modelpack.labels import LabelSet
from modelpack.tables import lookup


@dataclass(frozen=True)
class DatasetEntry:
    """A dataset's settings class and how to open one of its splits."""

    settings: type[DatasetSettings]
    open: OpenDataset


DATASETS: dict[str, DatasetEntry] = {
    "ade20k": DatasetEntry(Ade20kSettings, open_ade20k),
    "camvid": DatasetEntry(CamVidSettings, open_camvid),
    "cityscapes": DatasetEntry(CityscapesSettings, open_cityscapes),
    "coco_stuff": DatasetEntry(CocoStuffSettings, open_coco_stuff),
    "folder": DatasetEntry(FolderSettings, open_folder),
    "images": DatasetEntry(ImagesSettings, open_images),
    "pascal_context": DatasetEntry(PascalContextSettings, open_pascal_context),
    "streets": DatasetEntry(StreetsSettings, open_streets),
    "voc": DatasetEntry(VocSettings, open_voc),
}


UNLABELLED_SPLIT = "unlabelled"
"""What the images of `DatasetSettings.unlabelled` are called beside the splits."""


def open_dataset(settings: DatasetSettings, split: str) -> SegDataset:
    """One split as the dataset has it; `settings.unlabelled` adds nothing here."""
    return lookup(DATASETS, "dataset", settings.name).open(settings, split)


def open_to_learn_from(settings: DatasetSettings) -> SegDataset:
    """The train split together with the images of `settings.unlabelled`, or those images alone."""
    parts = learned_parts(settings)
    return parts[0] if len(parts) == 1 else JoinedDataset(parts)


def learned_parts(settings: DatasetSettings) -> tuple[SegDataset, ...]:
    """The train split, if its labels are used, and the images of `settings.unlabelled`, if there are any."""
    if settings.unlabelled is None:
        return (open_dataset(settings, "train"),)
    if settings.learn_from == "unlabelled":
        return (find_images(settings.unlabelled, UNLABELLED_SPLIT, _labels(settings)),)
    train = open_dataset(settings, "train")
    return train, find_images(settings.unlabelled, UNLABELLED_SPLIT, train.labels)


def _labels(settings: DatasetSettings) -> LabelSet:
    """Classes of a dataset that may lack its train split."""
    try:
        return open_dataset(settings, "val").labels
    except MissingSplitError:
        return open_dataset(settings, "test").labels
