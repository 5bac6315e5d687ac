"""The published PSPNet head: averages over 1, 4, 9 and 36 regions beside the map itself, then a classifier.

Module names are those of the published checkpoints.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill.networks.fcn_head import conv_norm_relu

_REGIONS = (1, 2, 3, 6)
_DROPOUT = 0.1


class _PyramidPooling(nn.Module):
    """(N, C, h, w) to (N, 2C, h, w): the input, then one map of C / 4 channels for each region count."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        branches = (conv_norm_relu(in_channels, in_channels // len(_REGIONS), kernel=1) for _ in _REGIONS)
        self.conv1, self.conv2, self.conv3, self.conv4 = branches

    def forward(self, features: Tensor) -> Tensor:
        views = [features]
        for regions, branch in zip(_REGIONS, (self.conv1, self.conv2, self.conv3, self.conv4), strict=True):
            pooled = branch(F.adaptive_avg_pool2d(features, regions))
            views.append(F.interpolate(pooled, size=features.shape[2:], mode="bilinear", align_corners=True))
        return torch.cat(views, dim=1)


class PspHead(nn.Module):
    """Stage 4 (N, C, h, w) to (logits, feature of `width` channels that the classifier reads), both h x w."""

    def __init__(self, in_channels: int, width: int, num_classes: int) -> None:
        super().__init__()
        self.psp = _PyramidPooling(in_channels)
        self.block = nn.Sequential(*conv_norm_relu(2 * in_channels, width, kernel=3), nn.Dropout(_DROPOUT))
        self.classifier = nn.Conv2d(width, num_classes, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        head: Tensor = self.block(self.psp(features))
        return self.classifier(head), head
