"""The published auxiliary head, and the convolution unit all published heads are made of."""

from torch import Tensor, nn

_DROPOUT = 0.1
_REDUCTION = 4


def conv_norm_relu(in_channels: int, out_channels: int, *, kernel: int, dilation: int = 1) -> nn.Sequential:
    """Convolution without bias that keeps the map's size, batch norm, ReLU."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class FcnHead(nn.Module):
    """A map (N, C, h, w) to logits (N, num_classes, h, w) through C / 4 channels."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        width = in_channels // _REDUCTION
        self.block = nn.Sequential(
            *conv_norm_relu(in_channels, width, kernel=3),
            nn.Dropout(_DROPOUT),
            nn.Conv2d(width, num_classes, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.block(features)
        return logits
