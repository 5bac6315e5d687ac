"""How a mask file stores classes: as indices in one channel, or as colours of a palette."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from distill.datasets.label_table import UNKNOWN
from distill.datasets.reading import read_colours, read_index_mask
from modelpack.labels import Colour


class MaskFormat(Protocol):
    """Reads stored values, and names them for a person."""

    def read(self, path: Path) -> NDArray[np.uint8]:
        """(H, W) values, before the dataset's label table. Raises DatasetError."""
        ...

    def name_values(self, path: Path, where_hw: NDArray[np.bool_]) -> list[str]:
        """What the file holds at the pixels marked in `where_hw`, each value once."""
        ...


class IndexMasks:
    """One-channel or palette files: the value is the index."""

    def read(self, path: Path) -> NDArray[np.uint8]:
        return read_index_mask(path)

    def name_values(self, path: Path, where_hw: NDArray[np.bool_]) -> list[str]:
        return [str(value) for value in np.unique(self.read(path)[where_hw])]


class ColourMasks:
    """RGB files: each exact colour of `value_of` becomes its value, every other colour `others`."""

    def __init__(self, value_of: Mapping[Colour, int], others: int = UNKNOWN) -> None:
        by_code = sorted((_code(colour), value) for colour, value in value_of.items())
        self._codes = np.array([code for code, _ in by_code], np.int32)
        self._values = np.array([value for _, value in by_code], np.uint8)
        self._others = np.uint8(others)

    def read(self, path: Path) -> NDArray[np.uint8]:
        codes_hw = _codes(read_colours(path))
        nearest = np.searchsorted(self._codes, codes_hw).clip(max=len(self._codes) - 1)
        values: NDArray[np.uint8] = np.where(
            self._codes[nearest] == codes_hw, self._values[nearest], self._others
        )
        return values

    def name_values(self, path: Path, where_hw: NDArray[np.bool_]) -> list[str]:
        codes = np.unique(_codes(read_colours(path))[where_hw])
        return [f"rgb({code >> 16}, {code >> 8 & 255}, {code & 255})" for code in codes.tolist()]


def _code(colour: Colour) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def _codes(colours_hwc: NDArray[np.uint8]) -> NDArray[np.int32]:
    """(H, W, 3) RGB to (H, W): 24 bits in one number."""
    wide = colours_hwc.astype(np.int32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
