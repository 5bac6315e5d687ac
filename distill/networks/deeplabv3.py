"""The published DeepLabV3 head: atrous spatial pyramid pooling, one more convolution, classifier.

Module names are those of the published checkpoints.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill.networks.fcn_head import conv_norm_relu

_RATES = (12, 24, 36)
_ASPP_DROPOUT = 0.5
_DROPOUT = 0.1


class _AtrousConv(nn.Module):
    def __init__(self, in_channels: int, width: int, rate: int) -> None:
        super().__init__()
        self.block = conv_norm_relu(in_channels, width, kernel=3, dilation=rate)

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.block(features)
        return out


class _ImagePooling(nn.Module):
    """Global average, 1x1 convolution, spread over the map again."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.gap = nn.Sequential(nn.AdaptiveAvgPool2d(1), *conv_norm_relu(in_channels, width, kernel=1))

    def forward(self, features: Tensor) -> Tensor:
        return F.interpolate(self.gap(features), size=features.shape[2:], mode="bilinear", align_corners=True)


class _Aspp(nn.Module):
    """Five views of one map: 1x1, 3x3 at three rates, the whole image; joined to `width` channels."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.b0 = conv_norm_relu(in_channels, width, kernel=1)
        self.b1, self.b2, self.b3 = (_AtrousConv(in_channels, width, rate) for rate in _RATES)
        self.b4 = _ImagePooling(in_channels, width)
        self.project = nn.Sequential(*conv_norm_relu(5 * width, width, kernel=1), nn.Dropout(_ASPP_DROPOUT))

    def forward(self, features: Tensor) -> Tensor:
        views = [branch(features) for branch in (self.b0, self.b1, self.b2, self.b3, self.b4)]
        out: Tensor = self.project(torch.cat(views, dim=1))
        return out


class DeepLabV3Head(nn.Module):
    """Stage 4 (N, C, h, w) to (logits, feature of `width` channels that the classifier reads), both h x w."""

    def __init__(self, in_channels: int, width: int, num_classes: int) -> None:
        super().__init__()
        self.aspp = _Aspp(in_channels, width)
        self.block = nn.Sequential(
            *conv_norm_relu(width, width, kernel=3), nn.Dropout(_DROPOUT), nn.Conv2d(width, num_classes, 1)
        )

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        head: Tensor = self.block[:-1](self.aspp(features))
        return self.block[-1](head), head
