"""The table of datasets. A new one is a file beside this and a line below."""

from dataclasses import dataclass

from distill.datasets.ade20k import Ade20kSettings, open_ade20k
from distill.datasets.camvid import CamVidSettings, open_camvid
from distill.datasets.cityscapes import CityscapesSettings, open_cityscapes
from distill.datasets.coco_stuff import CocoStuffSettings, open_coco_stuff
from distill.datasets.dataset import DatasetSettings, OpenDataset, SegDataset
from distill.datasets.folder import FolderSettings, open_folder
from distill.datasets.streets import StreetsSettings, open_streets
from distill.datasets.voc import VocSettings, open_voc
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
    "streets": DatasetEntry(StreetsSettings, open_streets),
    "voc": DatasetEntry(VocSettings, open_voc),
}


def open_dataset(settings: DatasetSettings, split: str) -> SegDataset:
    return lookup(DATASETS, "dataset", settings.name).open(settings, split)
