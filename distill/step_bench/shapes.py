"""Shapes of maps as they are written on a command line."""

from modelpack.errors import UsageError

MapShape = tuple[int, int, int, int]


def parse_shape(text: str) -> MapShape:
    """`4x256x16x32` to (images, channels, height, width). Raises UsageError for anything else."""
    sides = text.split("x")
    if len(sides) != 4 or not all(side.isdigit() and int(side) for side in sides):
        raise UsageError(f"--shape {text!r} is not IMAGESxCHANNELSxHEIGHTxWIDTH, as in 4x256x16x32.")
    images, channels, height, width = map(int, sides)
    return images, channels, height, width


def written(shape: MapShape) -> str:
    return "x".join(map(str, shape))
