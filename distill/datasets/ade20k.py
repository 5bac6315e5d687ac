"""ADE20K as the scene parsing challenge distributes it: 20210 train and 2000 validation images, 150 classes.

Source: Zhou et al., "Scene Parsing through ADE20K Dataset", 2017. Colours are ours, the archive has none.
"""

from pathlib import Path

from distill.datasets.dataset import DatasetSettings, MissingSplitError
from distill.datasets.files import FileDataset
from distill.datasets.label_table import label_table
from distill.datasets.pairing import pair_files
from modelpack.labels import LabelSet, distinct_palette

FOLDERS = {"train": "training", "val": "validation"}

_NAMES = """
wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, person, earth,
door, table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea, mirror, rug,
field, armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion, base, box, column,
signboard, chest of drawers, counter, sand, sink, skyscraper, fireplace, refrigerator, grandstand, path,
stairs, runway, case, pool table, pillow, screen door, stairway, river, bridge, bookcase, blind,
coffee table, toilet, flower, book, hill, bench, countertop, stove, palm, kitchen island, computer,
swivel chair, boat, bar, arcade machine, hovel, bus, towel, light, truck, tower, chandelier, awning,
streetlight, booth, television receiver, airplane, dirt track, apparel, pole, land, bannister, escalator,
ottoman, bottle, buffet, poster, stage, van, ship, fountain, conveyer belt, canopy, washer, plaything,
swimming pool, stool, barrel, basket, waterfall, tent, bag, minibike, cradle, oven, ball, food, step, tank,
trade name, microwave, pot, animal, bicycle, lake, dishwasher, screen, blanket, sculpture, hood, sconce,
vase, traffic light, tray, ashcan, fan, pier, crt screen, plate, monitor, bulletin board, shower, radiator,
glass, clock, flag
"""
_NAME_LIST = tuple(" ".join(name.split()) for name in _NAMES.split(","))

ADE20K_LABELS = LabelSet(names=_NAME_LIST, palette=distinct_palette(len(_NAME_LIST)))

_OTHER = 0
"""Stored value of everything outside the 150 classes; class k is stored as k + 1."""


class Ade20kSettings(DatasetSettings):
    """`root` is the folder ADEChallengeData2016: images/ and annotations/, each of training/, validation/."""

    name: str = "ade20k"
    root: Path = Path("data/ADEChallengeData2016")


def open_ade20k(settings: Ade20kSettings, split: str) -> FileDataset:
    if split not in FOLDERS:
        raise MissingSplitError(f"ade20k has no split {split!r}. Splits: {', '.join(FOLDERS)}.")
    folder = FOLDERS[split]
    entries = pair_files(settings.root, images=f"images/{folder}", masks=f"annotations/{folder}")
    class_of = {index + 1: index for index in range(ADE20K_LABELS.num_classes)}
    return FileDataset(ADE20K_LABELS, split, entries, label_table(class_of, ignored=[_OTHER]))
