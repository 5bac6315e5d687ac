"""What fills in the pixels that the mask erased: the published networks, and cheaper ones of the same reach.

Source of `plain` and `enhanced`: the authors' Af-DCD code. The others are ours: `plain` with cheaper
convolutions, so that every pixel still sees the 5x5 pixels around it through one ReLU. All convolutions have
biases, no normalisation, the framework's initial weights, and no activation at the end.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from modelpack.errors import ShapeError

_KIND = re.compile(r"(\w+)(?:\((\d+)\))?")


class PlainGenerator(nn.Sequential):
    """3x3 convolution, ReLU, 3x3 convolution, all of one width."""

    def __init__(self, channels: int) -> None:
        super().__init__(_conv3x3(channels), nn.ReLU(), _conv3x3(channels))


class EnhancedGenerator(nn.Module):
    """Two 3x3 convolutions with ReLU in a row; the mean of one more on each is the result."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv3x3(channels)
        self.second = _conv3x3(channels)
        self.from_first = _conv3x3(channels)
        self.from_second = _conv3x3(channels)

    def forward(self, x: Tensor) -> Tensor:
        first = F.relu(self.first(x))
        second = F.relu(self.second(first))
        result: Tensor = (self.from_first(first) + self.from_second(second)) / 2
        return result


class BottleneckGenerator(nn.Sequential):
    """`plain` at 1/`reduction` of the width, between two 1x1 convolutions that lead there and back."""

    def __init__(self, channels: int, reduction: int) -> None:
        _check_divides("bottleneck", reduction, channels)
        narrow = channels // reduction
        super().__init__(
            nn.Conv2d(channels, narrow, kernel_size=1),
            _conv3x3(narrow),
            nn.ReLU(),
            _conv3x3(narrow),
            nn.Conv2d(narrow, channels, kernel_size=1),
        )


class GroupedGenerator(nn.Sequential):
    """`plain` with convolutions in groups, and the channels shuffled between them.

    Every channel is generated from all others if a group has at least as many channels as there are groups.
    """

    def __init__(self, channels: int, groups: int) -> None:
        _check_divides("grouped", groups, channels)
        super().__init__(
            _conv3x3(channels, groups), nn.ReLU(), nn.ChannelShuffle(groups), _conv3x3(channels, groups)
        )


class SeparableGenerator(nn.Sequential):
    """`plain` with each 3x3 convolution as a depth-wise 3x3 and a 1x1 one."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            _conv3x3(channels, channels),
            nn.Conv2d(channels, channels, kernel_size=1),
            nn.ReLU(),
            _conv3x3(channels, channels),
            nn.Conv2d(channels, channels, kernel_size=1),
        )


class GeneratorEntry(NamedTuple):
    """How to build one kind for a number of channels."""

    build: Callable[..., nn.Module]
    number: int | None = None
    """Default of the number that `NAME(NUMBER)` gives to `build` after the channels; None: it takes none."""


GENERATORS: dict[str, GeneratorEntry] = {
    "plain": GeneratorEntry(PlainGenerator),
    "enhanced": GeneratorEntry(EnhancedGenerator),
    "bottleneck": GeneratorEntry(BottleneckGenerator, 4),
    "grouped": GeneratorEntry(GroupedGenerator, 16),
    "separable": GeneratorEntry(SeparableGenerator),
    "none": GeneratorEntry(nn.Identity),
}


def check_generator(text: str) -> str:
    """`NAME` or `NAME(NUMBER)` as it stands. Raises ValueError for what is not in the table."""
    _parse(text)
    return text


def build_generator(text: str, channels: int) -> nn.Module:
    """(N, channels, h, w) to the same shape. Raises ShapeError unless the number divides the channels."""
    entry, numbers = _parse(text)
    return entry.build(channels, *numbers)


def _parse(text: str) -> tuple[GeneratorEntry, list[int]]:
    """The entry, and what it is built with beside the channels."""
    match = _KIND.fullmatch(text.replace(" ", ""))
    entry = GENERATORS.get(match[1]) if match else None
    if match is None or entry is None or (match[2] and (entry.number is None or not int(match[2]))):
        known = (f"{name}(N)" if kind.number else name for name, kind in GENERATORS.items())
        raise ValueError(f"a generator is one of {', '.join(known)} with N from 1 up, got {text!r}")
    if entry.number is None:
        return entry, []
    return entry, [int(match[2] or entry.number)]


def _conv3x3(channels: int, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, kernel_size=3, padding=1, groups=groups)


def _check_divides(name: str, number: int, channels: int) -> None:
    if channels % number:
        divisors = [str(count) for count in range(1, channels + 1) if channels % count == 0]
        raise ShapeError(
            f"generator {name}({number}): {number} does not divide the {channels} channels of the teacher's "
            f"feature. Choose the number from: {', '.join(divisors)}."
        )
