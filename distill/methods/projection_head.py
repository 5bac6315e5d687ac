"""CIRKD's projection: the student's features become embeddings of the teacher's width.

Source: Yang et al., CIRKD, CVPR 2022, and the authors' code. Trained with the student, thrown away after it.
"""

from torch import nn


class ProjectionHead(nn.Sequential):
    """1x1 convolution to the new width, batch norm, ReLU, 1x1 convolution; neither convolution has a bias."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, kernel_size=1, bias=False),
        )
