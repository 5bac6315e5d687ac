"""The dilated MobileNetV2 of the published networks: width 1, output stride 8, no 1280-channel last layer.

Module names are those of the published checkpoints (`net.features.N.conv.M`).
"""

from torch import Tensor, nn

from distill.networks.output import FeatureInfo
from distill.networks.resnet import initialise_backbone

_FIRST_CHANNELS = 32
_BLOCK_TABLE = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Rows of blocks: expansion, output channels, number of blocks, stride of the first."""
_DILATE_FROM = {7: 2, 14: 4}
"""Blocks that lose their stride of 2: the ones after are dilated by this much, the block itself by half."""
_STAGE_ENDS = {3: "stage1", 6: "stage2", 13: "stage3", 17: "stage4"}


class InvertedResidual(nn.Module):
    """1x1 expansion (unless the factor is 1), depthwise 3x3, linear 1x1; residual where shapes allow it."""

    def __init__(
        self, in_channels: int, out_channels: int, expansion: int, stride: int, dilation: int
    ) -> None:
        super().__init__()
        width = in_channels * expansion
        expand = [nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU6(inplace=True)]
        self.conv = nn.Sequential(
            *(expand if expansion > 1 else []),
            nn.Conv2d(width, width, 3, stride, padding=dilation, dilation=dilation, groups=width, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU6(inplace=True),
            nn.Conv2d(width, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.is_residual = stride == 1 and in_channels == out_channels

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.conv(images)
        return images + out if self.is_residual else out


class _Named(nn.Module):
    """Puts `features` into the parameters' names."""

    def __init__(self, features: nn.Sequential) -> None:
        super().__init__()
        self.features = features


class DilatedMobileNetV2(nn.Module):
    """Images (N, 3, H, W) to `stage1` ... `stage4`: 24, 32, 96, 320 channels at strides 4, 8, 8, 8."""

    def __init__(self) -> None:
        super().__init__()
        features, self.feature_info = _blocks()
        self.net = _Named(features)
        initialise_backbone(self)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = {}
        out = images
        for index, block in enumerate(self.net.features):
            out = block(out)
            if index in _STAGE_ENDS:
                features[_STAGE_ENDS[index]] = out
        return features


def _blocks() -> tuple[nn.Sequential, dict[str, FeatureInfo]]:
    blocks: list[nn.Module] = [
        nn.Sequential(
            nn.Conv2d(3, _FIRST_CHANNELS, 3, 2, 1, bias=False),
            nn.BatchNorm2d(_FIRST_CHANNELS),
            nn.ReLU6(inplace=True),
        )
    ]
    info = {}
    in_channels, total_stride, dilation = _FIRST_CHANNELS, 2, 1
    for expansion, out_channels, count, row_stride in _BLOCK_TABLE:
        for position in range(count):
            index = len(blocks)
            stride = row_stride if position == 0 else 1
            block_dilation = dilation
            if index in _DILATE_FROM:
                stride, dilation = 1, _DILATE_FROM[index]
                block_dilation = dilation // 2
            total_stride *= stride
            blocks.append(InvertedResidual(in_channels, out_channels, expansion, stride, block_dilation))
            in_channels = out_channels
            if index in _STAGE_ENDS:
                info[_STAGE_ENDS[index]] = FeatureInfo(out_channels, total_stride)
    return nn.Sequential(*blocks), info
