"""From the settings' profiles to full shapes that the graph has: TensorRT accepts some that cannot run."""

from collections.abc import Sequence

from export.errors import ExportError
from export.tensorrt.settings import Range, ShapeProfile

Shape = tuple[int, ...]
OPEN = -1
"""Size of an axis that the graph leaves open."""


def full_shapes(profile: ShapeProfile, image: Sequence[int]) -> tuple[Shape, Shape, Shape]:
    """Smallest, most usual and largest (N, H, W, C) for a graph whose input has shape `image`.

    Raises ExportError for an axis that the graph fixes to another size, and for one that nobody fixes.
    """
    axes = ("batch", "height", "width")
    ranges = [_range(axis, getattr(profile, axis), size) for axis, size in zip(axes, image[:3], strict=True)]
    channels = image[3]
    smallest, usual, largest = zip(*ranges, strict=True)
    return (*smallest, channels), (*usual, channels), (*largest, channels)


def _range(axis: str, wanted: Range | None, size: int) -> Range:
    if size == OPEN and wanted is None:
        raise ExportError(
            f"the graph takes images of any {axis}, so a plan needs its range: set "
            "export.tensorrt.profiles=[{height: [smallest, most usual, largest], width: [...]}], "
            "or a fixed export.size=[height, width]."
        )
    if size == OPEN or wanted is None:
        return wanted or (size, size, size)
    if set(wanted) != {size}:
        raise ExportError(
            f"export.tensorrt.profiles ask for {axis} {list(wanted)}, and the graph takes {size} only. "
            f"Leave {axis} out there, or {_way_out(axis)}."
        )
    return wanted


def _way_out(axis: str) -> str:
    return "export the graph with a free batch" if axis == "batch" else "set export.size=dynamic"
