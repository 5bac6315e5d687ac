"""Bring labels onto the grid of a feature map."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from modelpack.errors import ShapeError
from modelpack.labels import IGNORE

LabelResize = Literal["nearest", "aligned"]
"""Which label stands for cell i of n over N pixels: `nearest` (published) the one at floor(i * N / n),
`aligned` the one at round(i * (N - 1) / (n - 1)), where the cell of a network with aligned corners looks."""


def labels_on_grid(
    labels: Tensor,
    *,
    covers: tuple[int, int],
    grid: tuple[int, int],
    resize: LabelResize = "nearest",
    ignore: int = IGNORE,
) -> Tensor:
    """Labels of the pixels that the cells of a map stand for.

    Args:
        labels: (N, H, W) integer.
        covers: (height, width) in pixels of the padded image that the map covers, at least (H, W). The
            padding is at the bottom and right, and labelled `ignore`.
        grid: (height, width) of the map.

    Returns:
        (N, *grid), of the labels' type.

    Raises ShapeError for labels that reach beyond what the map covers.
    """
    missing = covers[0] - labels.shape[1], covers[1] - labels.shape[2]
    if min(missing) < 0:
        raise ShapeError(
            f"labels are {labels.shape[1]}x{labels.shape[2]}, but the map covers {covers[0]}x{covers[1]} "
            "pixels. Give the labels of the image that the network saw."
        )
    padded = F.pad(labels, (0, missing[1], 0, missing[0]), value=ignore) if any(missing) else labels
    rows, columns = (
        _picked(pixels, cells, resize, labels.device) for pixels, cells in zip(covers, grid, strict=True)
    )
    return padded[:, rows[:, None], columns]


def _picked(pixels: int, cells: int, resize: LabelResize, device: torch.device) -> Tensor:
    """The pixel of each cell along one axis, (cells,) int64."""
    if resize == "aligned":
        return torch.linspace(0, pixels - 1, cells, dtype=torch.float64, device=device).round().long()
    # By torch, whose single precision rounds some indices down: published code resizes so.
    numbered = torch.arange(pixels, dtype=torch.float32, device=device).view(1, 1, pixels)
    return F.interpolate(numbered, size=cells, mode="nearest").view(cells).long()
