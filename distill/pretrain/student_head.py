"""What stands on the student's backbone while it is pre-trained, and is thrown away after."""

from torch import Tensor, nn
from torch.nn import functional as F

from modelpack.errors import SettingsError


class PixelAttention(nn.Module):
    """Multi-head self-attention (MHSA) between the pixels of a map, added to it: (N, C, H, W) to the same.

    Source: PCD has it in the paper and not in the code. Ours is one pre-norm block without position code.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        if channels % heads:
            raise SettingsError(
                f"pretrain.attention_heads ({heads}) does not divide the student's {channels} channels. "
                "Choose a divisor, or 0 for no attention."
            )
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.project_in = nn.Linear(channels, 3 * channels)
        self.project_out = nn.Linear(channels, channels)

    def forward(self, maps: Tensor) -> Tensor:
        count, channels, height, width = maps.shape
        tokens = self.norm(maps.flatten(2).transpose(1, 2))
        split = self.project_in(tokens).view(count, height * width, 3, self.heads, channels // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value)
        mixed = self.project_out(attended.transpose(1, 2).reshape(count, height * width, channels))
        out: Tensor = maps + mixed.transpose(1, 2).reshape(count, channels, height, width)
        return out


def student_head(channels: int, hidden: int, width: int, heads: int) -> nn.Sequential:
    """Attention (heads=0: none), then projection and prediction, each of two 1x1 convolutions without bias.

    channels: of the student's map; hidden: 4096 as published; width: of the teacher's head.
    """
    attention = [PixelAttention(channels, heads)] if heads else []
    projection, prediction = _perceptron(channels, hidden, width), _perceptron(width, hidden, width)
    return nn.Sequential(*attention, *projection, *prediction)


def _perceptron(channels: int, hidden: int, width: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(channels, hidden, 1, bias=False),
        nn.BatchNorm2d(hidden),
        nn.ReLU(inplace=True),
        nn.Conv2d(hidden, width, 1, bias=False),
    )
