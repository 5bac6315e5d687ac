"""What every network returns, and what every network is."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill.transfer import to_device
from modelpack.errors import SettingsError, UnknownNameError
from modelpack.preprocess import Normalisation


@dataclass(frozen=True)
class FeatureInfo:
    """Static description of one named feature map."""

    channels: int
    stride: int


@dataclass(frozen=True)
class SegOutput:
    """One forward pass. All maps are NCHW, at the network's own strides (nothing is upsampled)."""

    logits: Tensor
    """(N, num_classes, h, w)."""
    aux_logits: Tensor | None
    """(N, num_classes, h', w') of the auxiliary head, where the network has one."""
    features: Mapping[str, Tensor]
    """By name: `stage1` ... `stage4` (backbone) and `head` (just before the classifier)."""
    padded_size: tuple[int, int]
    """(H, W) of the input after the network padded it to a size it can take; equal to the input for most."""

    def feature(self, name: str) -> Tensor:
        if name not in self.features:
            raise UnknownNameError("feature", name, list(self.features))
        return self.features[name]

    def full_logits(self, size: tuple[int, int]) -> Tensor:
        """Logits at the size of the input, (N, num_classes, H, W)."""
        return upsample(self.logits, self.padded_size, size)


def upsample(logits: Tensor, padded_size: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Bilinear, `align_corners=True`, to the padded input's size; then the padding (bottom, right) is cut."""
    full = F.interpolate(logits, size=padded_size, mode="bilinear", align_corners=True)
    return full[..., : size[0], : size[1]]


class SegNetwork(nn.Module):
    """Base of all networks: a plain `nn.Module` whose forward takes normalised images.

    Subclasses set the four attributes below before use.
    """

    num_classes: int
    normalisation: Normalisation
    """What pixels must be put through before `forward` (see `normalise`)."""
    feature_info: dict[str, FeatureInfo]
    """Name -> channels and stride of every entry of `SegOutput.features`."""
    has_aux: bool
    """Whether `aux_logits` is given in training mode."""

    @abstractmethod
    def forward(self, images: Tensor) -> SegOutput:
        """images: (N, 3, H, W) float, normalised, any H and W from 32 up."""

    def backbone_part(self) -> nn.Module:
        """What gives the features `stage1`, `stage2`, ...: the part that pre-training trains."""
        raise SettingsError(f"{type(self).__name__} keeps no backbone apart that could be pre-trained.")

    def backbone_features(self, images: Tensor) -> dict[str, Tensor]:
        """The features of that part alone, by name; images as in `forward`."""
        raise SettingsError(f"{type(self).__name__} keeps no backbone apart that could be pre-trained.")


def normalise(images_nhwc_u8: Tensor, normalisation: Normalisation) -> Tensor:
    """uint8 RGB (N, H, W, 3) to float32 (N, 3, H, W) in channels_last memory, as `normalisation` says."""
    images = images_nhwc_u8.permute(0, 3, 1, 2).float()
    if normalisation.order == "bgr":
        images = images.flip(1)
    return (images - _per_channel(normalisation.mean, images)) / _per_channel(normalisation.std, images)


def _per_channel(values: Sequence[float], images: Tensor) -> Tensor:
    """(1, 3, 1, 1) beside `images`; made on a GPU itself, it would wait for all that the GPU has to do."""
    if not images.is_cuda:
        return torch.tensor(values, device=images.device).view(1, 3, 1, 1)
    return to_device(torch.tensor(values), images.device).view(1, 3, 1, 1)
