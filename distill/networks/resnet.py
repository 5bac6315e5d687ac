"""The dilated ResNet with a deep stem ("v1s") of the published networks: output stride 8, no classifier.

It is not torchvision's ResNet: the stem is three 3x3 convolutions, so those ImageNet weights do not fit.
Module names are those of the published checkpoints.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from distill.networks.output import FeatureInfo

_STEM_CHANNELS = (64, 64, 128)
_STAGE_STRIDES = (4, 8, 8, 8)
"""Of each stage's output against the image."""


def _conv3x3(in_channels: int, out_channels: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=dilation, dilation=dilation, bias=False)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
    )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions; the first carries the stride and `first_dilation`, the second `dilation`."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int, first_dilation: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(in_channels, width, stride, first_dilation)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = _conv3x3(width, width, dilation=dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(in_channels, width, stride)

    def forward(self, images: Tensor) -> Tensor:
        residual = self.relu(self.bn1(self.conv1(images)))
        residual = self.bn2(self.conv2(residual))
        shortcut = images if self.downsample is None else self.downsample(images)
        out: Tensor = self.relu(residual + shortcut)
        return out


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1; the 3x3 convolution carries the stride and `first_dilation`, `dilation` is not used."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int, first_dilation: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, stride, first_dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, width * self.expansion, stride)

    def forward(self, images: Tensor) -> Tensor:
        residual = self.relu(self.bn1(self.conv1(images)))
        residual = self.relu(self.bn2(self.conv2(residual)))
        residual = self.bn3(self.conv3(residual))
        shortcut = images if self.downsample is None else self.downsample(images)
        out: Tensor = self.relu(residual + shortcut)
        return out


class DilatedResNet(nn.Module):
    """Images (N, 3, H, W) to `stage1` ... `stage4`: strides 4, 8, 8, 8, the last two dilated by 2 and 4."""

    def __init__(self, block: type[BasicBlock] | type[Bottleneck], depths: Sequence[int]) -> None:
        super().__init__()
        first, second, third = _STEM_CHANNELS
        self.conv1 = _conv3x3(3, first, stride=2)
        self.bn1 = nn.BatchNorm2d(first)
        self.conv2 = _conv3x3(first, second)
        self.bn2 = nn.BatchNorm2d(second)
        self.conv3 = _conv3x3(second, third)
        self.bn3 = nn.BatchNorm2d(third)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        widths = [width * block.expansion for width in (64, 128, 256, 512)]
        self.layer1 = _stage(block, third, 64, depths[0])
        self.layer2 = _stage(block, widths[0], 128, depths[1], stride=2)
        self.layer3 = _stage(block, widths[1], 256, depths[2], dilation=2)
        self.layer4 = _stage(block, widths[2], 512, depths[3], dilation=4)
        self.feature_info = {
            f"stage{index}": FeatureInfo(width, stride)
            for index, (width, stride) in enumerate(zip(widths, _STAGE_STRIDES, strict=True), start=1)
        }
        initialise_backbone(self)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        out = self.relu(self.bn1(self.conv1(images)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.maxpool(self.relu(self.bn3(self.conv3(out))))
        features = {}
        for index, stage in enumerate((self.layer1, self.layer2, self.layer3, self.layer4), start=1):
            out = stage(out)
            features[f"stage{index}"] = out
        return features


def _stage(
    block: type[BasicBlock] | type[Bottleneck],
    in_channels: int,
    width: int,
    depth: int,
    *,
    stride: int = 1,
    dilation: int = 1,
) -> nn.Sequential:
    """`depth` blocks; the first takes the stride and, in its first 3x3 convolution, half the dilation."""
    blocks = [block(in_channels, width, stride, max(1, dilation // 2), dilation)]
    blocks += [block(width * block.expansion, width, 1, dilation, dilation) for _ in range(depth - 1)]
    return nn.Sequential(*blocks)


def initialise_backbone(backbone: nn.Module) -> None:
    """Convolutions: Kaiming normal over the fan-out. Norms keep scale 1 and shift 0."""
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def resnet18() -> DilatedResNet:
    return DilatedResNet(BasicBlock, (2, 2, 2, 2))


def resnet101() -> DilatedResNet:
    return DilatedResNet(Bottleneck, (3, 4, 23, 3))
