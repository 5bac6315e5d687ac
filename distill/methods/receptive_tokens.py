"""Receptive tokens: vectors whose inner products with a teacher's map say which pixels belong together.

Source: Huang et al., "Masked Distillation with Receptive Tokens" (MasKD), ICLR 2023, and the authors' code.
"""

from torch import Tensor, nn

from distill.losses.masked import receptive_masks
from distill.losses.precision import widen

_TOKEN_DEVIATION = 0.01
"""Published: tokens start as noise of this standard deviation."""


class ReceptiveTokens(nn.Module):
    """T tokens for maps of C channels, with weights that depend on the image where they are asked for.

    Those (published for detection) are a softmax over tokens of 3x3 convolution, global average, 1x1
    convolution.
    """

    def __init__(self, channels: int, count: int, *, is_weighted: bool) -> None:
        super().__init__()
        self.tokens = nn.Parameter(nn.init.normal_(Tensor(count, channels), std=_TOKEN_DEVIATION))
        self.weigh: nn.Module | None = None
        if is_weighted:
            self.weigh = nn.Sequential(
                nn.Conv2d(channels, channels, kernel_size=3, padding=1),
                nn.AdaptiveAvgPool2d(1),
                nn.Conv2d(channels, count, kernel_size=1),
            )
            for name, parameter in self.weigh.named_parameters():
                if name.endswith("bias"):
                    nn.init.zeros_(parameter)
                else:
                    nn.init.kaiming_normal_(parameter, mode="fan_out", nonlinearity="relu")

    def masks(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) to (N, T, H, W); see `receptive_masks`."""
        return receptive_masks(maps, self.tokens)

    def token_weights(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) to (N, T), summing to 1 for each image; all 1 for tokens without weights."""
        if self.weigh is None:
            return maps.new_ones(maps.shape[0], len(self.tokens))
        return widen(self.weigh(maps)).flatten(1).softmax(dim=1)

    def masked(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of the weighted masked copies of `maps` (N, C, H, W), in its type, and the masks."""
        masks = self.masks(maps)
        gate = (masks * self.token_weights(maps)[:, :, None, None]).sum(dim=1, keepdim=True)
        return (widen(maps) * gate).to(maps.dtype), masks
