"""Tiny networks of four layers, one of which (`planted`) does not bear low precision."""

import torch
from torch import Tensor, nn

from tests.export.tiny_run import TinyNetwork

CHANNELS = 24
LARGE = 1e5
"""Beyond float16, and so far beyond the other channels that 8 bits cannot hold both."""


class HarmlessNetwork(TinyNetwork):
    """Nothing planted: `planted` is a convolution as the others are."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.planted = nn.Conv2d(CHANNELS, CHANNELS, 1)
        self.last = nn.Conv2d(CHANNELS, CHANNELS, 1)
        for layer in (self.planted, self.last):
            nn.init.orthogonal_(layer.weight)

    def middle(self, features: Tensor) -> Tensor:
        return self.last(self.planted(features.relu()).relu())


class OutlierNetwork(HarmlessNetwork):
    """`planted` reads one channel that is `LARGE` times the others, and weights it accordingly."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.register_buffer("gains", torch.ones(1, CHANNELS, 1, 1))
        self.gains[:, 0] = LARGE
        _read_less_of_the_first_channel(self.planted)

    def middle(self, features: Tensor) -> Tensor:
        return super().middle(features.relu() * self.gains)


class HopelessNetwork(OutlierNetwork):
    """`planted` and `last` do: half of the layers."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        _read_less_of_the_first_channel(self.last)

    def middle(self, features: Tensor) -> Tensor:
        return self.last(self.planted(features.relu() * self.gains).relu() * self.gains)


def _read_less_of_the_first_channel(layer: nn.Conv2d) -> None:
    with torch.no_grad():
        layer.weight[:, 0] /= LARGE


class OverflowNetwork(HarmlessNetwork):
    """`planted` gives values beyond float16, which are divided again before anyone else reads them."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        with torch.no_grad():
            self.planted.weight.mul_(LARGE / 10)
            self.planted.bias.mul_(LARGE / 10)

    def middle(self, features: Tensor) -> Tensor:
        return self.last(self.planted(10 * features.relu()).relu() / LARGE)


PLANTED = {
    name: lambda _name, num_classes, _weights, _options, kind=kind: kind(num_classes)
    for name, kind in {
        "harmless": HarmlessNetwork,
        "outlier": OutlierNetwork,
        "overflow": OverflowNetwork,
        "hopeless": HopelessNetwork,
    }.items()
}
"""Entries for `NETWORKS`."""
