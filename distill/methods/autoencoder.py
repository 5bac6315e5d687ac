"""Knowledge adaptation's first stage: an auto-encoder says in less space what the teacher's feature says.

Source: He et al., "Knowledge Adaptation for Efficient Semantic Segmentation", CVPR 2019. The paper states
three 3x3 layers each way, the first with stride 2. It does not state the code's width: half the feature's is
torchdistill's.
"""

from itertools import pairwise
from typing import Literal

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn

from distill.losses.autoencoding import code_size, reconstruction
from distill.methods.preparation import Lesson, Preparation, PreparationSettings
from distill.networks.output import SegNetwork


class AutoencoderSettings(PreparationSettings):
    """Published: one epoch, lr 0.1, weight decay 1e-4 (sources write "10e-4", which some read as 1e-3)."""

    sparsity_weight: NonNegativeFloat = 1e-7
    """Of the sum of absolute values of a whole batch's code (sources write "10e-7")."""
    width: PositiveInt | None = None
    """Channels of the code. None: half of the feature's."""
    stride: Literal[1, 2] = 2
    """Of the first layer: the code of a teacher of stride 8 lies on the grid of a student of stride 16."""

    def weights(self) -> dict[str, float]:
        return {"sparsity": self.sparsity_weight}

    def code_channels(self, feature_channels: int) -> int:
        return self.width or max(feature_channels // 2, 1)


class Encoder(nn.Sequential):
    """(N, C, h, w) to (N, width, ceil(h / stride), ceil(w / stride)), >= 0."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        layers: list[nn.Module] = []
        widths = (channels, channels, width, width)
        for layer_stride, (before, after) in zip((stride, 1, 1), pairwise(widths), strict=True):
            convolution = nn.Conv2d(before, after, kernel_size=3, stride=layer_stride, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
        super().__init__(*layers)


class Decoder(nn.Module):
    """The mirror image. Its last layer has neither norm nor ReLU, because features may be negative."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(*_transposed(width, width), *_transposed(width, channels))
        self.last = nn.ConvTranspose2d(channels, channels, kernel_size=3, stride=stride, padding=1)

    def forward(self, code: Tensor, size: tuple[int, int]) -> Tensor:
        """size: (h, w) of the feature that was encoded."""
        decoded: Tensor = self.last(self.inner(code), output_size=list(size))
        return decoded


class Autoencoder(Preparation):
    """Learns from one feature of the teacher; afterwards only the encoder is used."""

    def __init__(self, channels: int, settings: AutoencoderSettings, feature: str) -> None:
        super().__init__()
        self.feature = feature
        self.width = width = settings.code_channels(channels)
        self.encoder = Encoder(channels, width, settings.stride)
        self.decoder = Decoder(channels, width, settings.stride)

    def forward(self, teacher: SegNetwork, lesson: Lesson) -> dict[str, Tensor]:
        with torch.no_grad():
            feature = teacher(lesson.images).feature(self.feature)
        code = self.encoder(feature)
        decoded = self.decoder(code, (feature.shape[2], feature.shape[3]))
        return {
            "reconstruction": reconstruction(decoded, feature),
            "sparsity": code_size(code) * lesson.processes,
        }


def _transposed(before: int, after: int) -> list[nn.Module]:
    convolution = nn.ConvTranspose2d(before, after, kernel_size=3, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(after), nn.ReLU()]
