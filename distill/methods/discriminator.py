"""The discriminator of adversarial distillation: does this map of logits come from the teacher?

Source: Liu et al., "Structured Knowledge Distillation for Semantic Segmentation", CVPR 2019, and its authors'
code, after SAGAN (Zhang et al., ICML 2019). It computes in float32 whatever the autocast around it.
"""

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce

from distill.losses.precision import widen
from modelpack.errors import ShapeError

SMALLEST_SIDE = 64
"""Of a map: four layers halve it, and the last looks at 4x4."""

_SLOPE = 0.1
_EPSILON = 1e-12


class Discriminator(nn.Module):
    """Batch norm; four spectrally normed convolutions, the later two followed by self-attention; scores."""

    def __init__(self, num_classes: int, width: int) -> None:
        """width: channels of the first convolution (published: 64); each next one has twice as many."""
        super().__init__()
        self.norm = LogitNorm(num_classes)
        self.layers = nn.Sequential(
            SpectralConv(num_classes, width),
            nn.LeakyReLU(_SLOPE),
            SpectralConv(width, 2 * width),
            nn.LeakyReLU(_SLOPE),
            SpectralConv(2 * width, 4 * width),
            nn.LeakyReLU(_SLOPE),
            SelfAttention(4 * width),
            SpectralConv(4 * width, 8 * width),
            nn.LeakyReLU(_SLOPE),
            SelfAttention(8 * width),
            nn.Conv2d(8 * width, 1, kernel_size=4),
        )

    def forward(self, logits: Tensor) -> Tensor:
        """(N, num_classes, h, w) to scores (N, 1, h // 16 - 3, w // 16 - 3).

        Raises ShapeError for maps that are too small.
        """
        check_size((logits.shape[2], logits.shape[3]))
        with torch.autocast(logits.device.type, enabled=False):
            scores: Tensor = self.layers(self.norm(widen(logits)))
        return scores


def check_size(size: tuple[int, int], *, source: str = "") -> None:
    """Raises ShapeError for a map (height, width) too small to be judged. source: where it comes from."""
    if min(size) < SMALLEST_SIDE:
        raise ShapeError(
            f"the discriminator needs logits of at least {SMALLEST_SIDE}x{SMALLEST_SIDE}, got "
            f"{size[0]}x{size[1]}{source}. Use larger crops (augment.crop), a teacher of finer stride, or "
            "adversary.small_maps=enlarge."
        )


class LogitNorm(nn.Module):
    """Batch norm with the statistics of this batch, over all processes whatever `compute.sync_norm` says.

    It is not torch's SyncBatchNorm, which cannot be differentiated twice as the gradient penalty must be, and
    has no running statistics: nobody evaluates a discriminator.
    """

    def __init__(self, channels: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, maps: Tensor) -> Tensor:
        count = maps.new_tensor([maps.numel() / maps.shape[1]])
        totals = _over_processes(torch.cat([maps.sum((0, 2, 3)), count]))
        total_count = totals[-1].detach()
        centred = maps - (totals[:-1] / total_count).view(1, -1, 1, 1)
        variance = _over_processes(centred.square().sum((0, 2, 3))) / total_count
        scale = self.weight * torch.rsqrt(variance + self.epsilon)
        return centred * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)


def _over_processes(values: Tensor) -> Tensor:
    """The sum over all processes; gradients pass, also those of gradients."""
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return values
    total: Tensor = all_reduce(values)  # type: ignore[no-untyped-call]  # untyped in torch
    return total


class SpectralConv(nn.Conv2d):
    """4x4 convolution of stride 2 whose weight is divided by an estimate of its largest singular value.

    Source: Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018. Each
    forward pass, training or not, takes one step of power iteration (v, then u) and uses it.
    """

    u: Tensor
    v: Tensor

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=4, stride=2, padding=1)
        self.register_buffer("u", _unit(torch.randn(out_channels)))
        self.register_buffer("v", _unit(torch.randn(in_channels * 4 * 4)))

    def forward(self, input: Tensor) -> Tensor:
        output: Tensor = self._conv_forward(input, self.next_weight(), self.bias)
        return output

    def next_weight(self) -> Tensor:
        """The weight over sigma = u^T W v, W being (out, rest). u and v move on, and are constants in it."""
        matrix = self.weight.flatten(1)
        with torch.no_grad():
            v = _unit(matrix.T @ self.u)
            u = _unit(matrix @ v)
            self.v.copy_(v)
            self.u.copy_(u)
        return self.weight / (u @ (matrix @ v))


def _unit(vector: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(vector)
    return vector / (length + _EPSILON)


class SelfAttention(nn.Module):
    """x + gamma * (values that each position attends to); gamma begins at 0. Products are not scaled."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = max(1, channels // 8)
        self.query = nn.Conv2d(channels, narrow, kernel_size=1)
        self.key = nn.Conv2d(channels, narrow, kernel_size=1)
        self.value = nn.Conv2d(channels, channels, kernel_size=1)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, maps: Tensor) -> Tensor:
        attended = self.value(maps).flatten(2) @ self.attention(maps).mT
        mixed: Tensor = self.gamma * attended.view(maps.shape) + maps
        return mixed

    def attention(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) to (N, h*w, h*w): how much each position (row) attends to each other."""
        queries: Tensor = self.query(maps).flatten(2)
        keys: Tensor = self.key(maps).flatten(2)
        return (queries.mT @ keys).softmax(dim=2)
