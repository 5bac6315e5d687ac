"""Run-length codes as COCO writes them: what pycocotools reads without conversion.

Format: https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c. Runs go down the columns, the
first one counts zeros; from the fourth on each is stored as the difference to the last but one, in groups of
five bits, least significant first, each in one printable character.
"""

import json

import numpy as np
from numpy.typing import NDArray

from serve.formats.answer import Answer, Format

_BITS = 5
_GROUPS = 7
"""Groups that hold every difference of two counts below 2**32."""


def encode_rle(answer: Answer) -> bytes:
    """`segments`: for each class present its COCO `segmentation` and its area in pixels."""
    counts = class_counts(answer.mask_hw)
    segments = [
        {
            "index": index,
            "name": answer.labels.names[index],
            "area": int(answer.pixels[index]),
            "segmentation": {"size": list(answer.mask_hw.shape), "counts": compress(counts[index])},
        }
        for index in answer.present
    ]
    return json.dumps({**answer.header(), "segments": segments}).encode()


def class_counts(mask_hw: NDArray[np.uint8]) -> dict[int, NDArray[np.int64]]:
    """For each value of (H, W) the lengths of its runs of zeros and ones in turn, down the columns."""
    column_major = np.ascontiguousarray(mask_hw.T).ravel()
    starts = np.concatenate(([0], np.flatnonzero(column_major[1:] != column_major[:-1]) + 1))
    ends = np.append(starts[1:], column_major.size)
    values = column_major[starts]
    counts = {}
    for value in np.unique(values).tolist():
        is_run = values == value
        edges = np.stack((starts[is_run], ends[is_run]), axis=1).ravel()
        if edges[-1] != column_major.size:
            edges = np.append(edges, column_major.size)
        counts[value] = np.diff(edges, prepend=0)
    return counts


def compress(counts: NDArray[np.int64]) -> str:
    """Run lengths to COCO's characters."""
    stored = counts.copy()
    stored[3:] -= counts[1:-2]
    shifts = _BITS * np.arange(_GROUPS)
    groups = (stored[:, None] >> shifts) & 31
    rest = stored[:, None] >> (shifts + _BITS)
    goes_on = np.where(groups & 16, rest != -1, rest != 0)
    is_written = np.ones(groups.shape, bool)
    is_written[:, 1:] = np.logical_and.accumulate(goes_on[:, :-1], axis=1)
    characters = ((groups | (goes_on * 32)) + 48).astype(np.uint8)
    written: str = characters[is_written].tobytes().decode("ascii")
    return written


RLE = Format("application/json", "COCO compressed run lengths of each class present, JSON.", encode_rle)
