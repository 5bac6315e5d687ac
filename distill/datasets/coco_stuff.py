"""COCO-Stuff 164K as distributed: 118287 train and 5000 val images, 182 labels of which eleven never occur.

Source: Caesar et al., "COCO-Stuff: Thing and Stuff Classes in Context", 2018; masks of
`stuffthingmaps_trainval2017.zip`, where label k is COCO's category k + 1. The unused (street sign, ...)
keep their places: networks published for this dataset have 182 outputs. Colours are ours: the archive has
none, and those that MMSegmentation chose are of 171 classes, some of which share one.
"""

from pathlib import Path

from distill.datasets.dataset import DatasetSettings, MissingSplitError
from distill.datasets.files import FileDataset
from distill.datasets.label_table import index_table
from distill.datasets.pairing import pair_files
from modelpack.labels import IGNORE, LabelSet, distinct_palette

FOLDERS = {"train": "train2017", "val": "val2017"}

_NAMES = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant,
street sign, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra,
giraffe, hat, backpack, umbrella, shoe, eye glasses, handbag, tie, suitcase, frisbee, skis, snowboard,
sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, plate,
wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog,
pizza, donut, cake, chair, couch, potted plant, bed, mirror, dining table, window, desk, toilet, door, tv,
laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, blender, book,
clock, vase, scissors, teddy bear, hair drier, toothbrush, hair brush, banner, blanket, branch, bridge,
building-other, bush, cabinet, cage, cardboard, carpet, ceiling-other, ceiling-tile, cloth, clothes, clouds,
counter, cupboard, curtain, desk-stuff, dirt, door-stuff, fence, floor-marble, floor-other, floor-stone,
floor-tile, floor-wood, flower, fog, food-other, fruit, furniture-other, grass, gravel, ground-other, hill,
house, leaves, light, mat, metal, mirror-stuff, moss, mountain, mud, napkin, net, paper, pavement, pillow,
plant-other, plastic, platform, playingfield, railing, railroad, river, road, rock, roof, rug, salad, sand,
sea, shelf, sky-other, skyscraper, snow, solid-other, stairs, stone, straw, structural-other, table, tent,
textile-other, towel, tree, vegetable, wall-brick, wall-concrete, wall-other, wall-panel, wall-stone,
wall-tile, wall-wood, water-other, waterdrops, window-blind, window-other, wood
"""
_NAME_LIST = tuple(" ".join(name.split()) for name in _NAMES.split(","))

COCO_STUFF_LABELS = LabelSet(names=_NAME_LIST, palette=distinct_palette(len(_NAME_LIST)))


class CocoStuffSettings(DatasetSettings):
    """`root` holds images/ and stuffthingmaps/, each with train2017/ and val2017/."""

    name: str = "coco_stuff"
    root: Path = Path("data/coco_stuff164k")


def open_coco_stuff(settings: CocoStuffSettings, split: str) -> FileDataset:
    if split not in FOLDERS:
        raise MissingSplitError(f"coco_stuff has no split {split!r}. Splits: {', '.join(FOLDERS)}.")
    folder = FOLDERS[split]
    entries = pair_files(settings.root, images=f"images/{folder}", masks=f"stuffthingmaps/{folder}")
    return FileDataset(
        COCO_STUFF_LABELS, split, entries, index_table(COCO_STUFF_LABELS.num_classes, ignored=[IGNORE])
    )
