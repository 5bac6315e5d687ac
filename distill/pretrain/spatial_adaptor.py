"""SpatialAdaptor: a projection head for vectors becomes one for maps, with the same weights.

Source: Huang et al., "Pixel-Wise Contrastive Distillation", ICCV 2023. The mean over positions of the adapted
head's map is exactly what the vector head gives for the mean of its input: linear layers and norms with
stored statistics commute with the mean, and the ReLU becomes a gate that looks at the mean and keeps or drops
a channel of an image as a whole.
"""

from collections.abc import Iterator
from typing import Self

from torch import Tensor, nn

from modelpack.errors import SettingsError

_WITHOUT_EFFECT = (nn.Identity, nn.Dropout, nn.Flatten)
"""Layers that do nothing to a vector in evaluation mode."""


class ChannelGate(nn.Module):
    """Keeps a channel of an image, negative values included, if its sum over positions is above 0; else 0."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps * (maps.sum(dim=(2, 3), keepdim=True) > 0)


class SpatialHead(nn.Sequential):
    """(N, C, H, W) to (N, D, H, W), frozen.

    Stays in evaluation mode: with the statistics of a batch the mean of the map would be another vector.
    """

    def train(self, mode: bool = True) -> Self:
        return super().train(False)


def spatial_adaptor(head: nn.Module) -> SpatialHead:
    """The map head of a vector head made of Linear, BatchNorm1d, ReLU and sequences of them.

    Copies the weights. Raises SettingsError for any other layer.
    """
    adapted = SpatialHead(*_adapted_layers(head))
    return adapted.requires_grad_(False).train(False)


def _adapted_layers(layer: nn.Module) -> Iterator[nn.Module]:
    if isinstance(layer, nn.Sequential):
        for inner in layer:
            yield from _adapted_layers(inner)
    elif isinstance(layer, nn.Linear):
        yield _convolution(layer)
    elif isinstance(layer, nn.BatchNorm1d):
        yield _map_norm(layer)
    elif isinstance(layer, nn.ReLU):
        yield ChannelGate()
    elif not isinstance(layer, _WITHOUT_EFFECT):
        raise SettingsError(
            f"the projection head holds {type(layer).__name__}, which has no form for maps. SpatialAdaptor "
            "takes Linear, BatchNorm1d, ReLU and sequences of them."
        )


def _convolution(layer: nn.Linear) -> nn.Conv2d:
    has_bias = layer.bias is not None
    convolution = nn.Conv2d(layer.in_features, layer.out_features, 1, bias=has_bias, dtype=layer.weight.dtype)
    state = {"weight": layer.weight[:, :, None, None]} | ({"bias": layer.bias} if has_bias else {})
    convolution.load_state_dict(state)
    return convolution


def _map_norm(layer: nn.BatchNorm1d) -> nn.BatchNorm2d:
    if layer.running_mean is None:
        raise SettingsError(
            "the projection head's BatchNorm1d has no stored statistics, and those of a batch of maps are "
            "others. Take a head that was trained with track_running_stats."
        )
    norm = nn.BatchNorm2d(layer.num_features, layer.eps, affine=layer.affine, dtype=layer.running_mean.dtype)
    norm.load_state_dict(layer.state_dict())
    return norm
