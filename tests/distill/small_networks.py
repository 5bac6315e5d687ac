"""Networks of a few layers, each with one thing that quantisation has to deal with."""

import torch
from torch import Tensor, nn

from distill.networks.output import SegNetwork, SegOutput
from modelpack.preprocess import IMAGENET

CLASSES = 5


class TwoConvolutions(SegNetwork):
    """A convolution with a norm, then one without."""

    def __init__(self) -> None:
        super().__init__()
        self.num_classes, self.normalisation, self.feature_info, self.has_aux = CLASSES, IMAGENET, {}, False
        self.stem = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Conv2d(8, CLASSES, 1)

    def forward(self, images: Tensor) -> SegOutput:
        logits = self.head(self.middle(self.norm(self.stem(images)).relu()))
        return SegOutput(logits, None, {}, (images.shape[2], images.shape[3]))

    def middle(self, features: Tensor) -> Tensor:
        return features


class Branching(TwoConvolutions):
    """Two layers read one tensor; a norm reads a convolution that an addition reads too."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.right_norm = nn.BatchNorm2d(8)

    def middle(self, features: Tensor) -> Tensor:
        right = self.right(features)
        return self.left(features) + self.right_norm(right) + right


class InPlace(TwoConvolutions):
    """Two layers read one tensor, which an activation changed between them."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)

    def middle(self, features: Tensor) -> Tensor:
        features = features - 1
        left = self.left(features)
        return left + self.right(features.relu_())


class WithLinear(TwoConvolutions):
    """A linear layer over positions, as transformers have them."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(8, 8)

    def middle(self, features: Tensor) -> Tensor:
        count, channels, height, width = features.shape
        mixed = self.mix(features.flatten(2).transpose(1, 2))
        return mixed.transpose(1, 2).reshape(count, channels, height, width)


class StandardisedConv(nn.Conv2d):
    """Computes with something else than its weight."""

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight - self.weight.mean((1, 2, 3), keepdim=True), self.bias)


class WithOwnForward(TwoConvolutions):
    def __init__(self) -> None:
        super().__init__()
        self.special = StandardisedConv(8, 8, 1)

    def middle(self, features: Tensor) -> Tensor:
        out: Tensor = self.special(features)
        return out


def with_statistics(network: SegNetwork) -> SegNetwork:
    """Norms that do something, as after training; evaluation mode."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 2.0),
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.2, 0.2),
            ):
                tensor.uniform_(low, high, generator=generator)
    return network.eval()
