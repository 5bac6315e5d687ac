"""Any segmentation_models.pytorch network: `smp:ARCH/ENCODER`, with timm's encoders `smp:ARCH/tu-NAME`."""

import warnings
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, cast

import segmentation_models_pytorch as smp
import timm
import torch
from segmentation_models_pytorch.base import SegmentationModel
from segmentation_models_pytorch.decoders.dpt.decoder import DPTSegmentationHead
from segmentation_models_pytorch.encoders import TimmViTEncoder
from torch import Tensor, nn
from torch.nn import functional as F

from distill.networks.backbone_weights import Weights, load_backbone
from distill.networks.hub import download
from distill.networks.output import FeatureInfo, SegNetwork, SegOutput
from distill.networks.smp_options import checked_options, normalisation_of
from modelpack.errors import SettingsError
from modelpack.preprocess import Normalisation
from modelpack.tables import lookup

ARCHITECTURES: dict[str, type[SegmentationModel]] = dict(smp.MODEL_ARCHITECTURES_MAPPING)
"""By lower-case name: unet, fpn, deeplabv3, segformer, ..."""

_SMALLEST_MAP = {"pan": 8}
"""Side of the encoder's last map that a decoder needs at least (PAN halves it three times)."""
_MAP_MULTIPLE = {"dpt": 2}
"""What that side must be a multiple of (DPT halves it and doubles it again)."""
_FIRST_STAGE = 2
"""Encoder features 0 and 1 are the image and stride 2; `stage1` is the next, as in ResNets."""


class SmpNetwork(SegNetwork):
    """An smp model, asked for its parts.

    logits: of the segmentation head before its upsampling, which is bilinear with aligned corners in every
    architecture, as `SegOutput.full_logits` has it.
    features: `stage1`, `stage2`, ... are the encoder's features from stride 4 on, like ResNet's layer1-4.
    `stage4` is the last of a five-level encoder, dilated or not; PSPNet's three levels end with `stage2`; a
    vision transformer under DPT counts its own from 1. `head` is what the segmentation head reads.
    Images are padded with zeros (the mean colour) at the bottom and right to sizes that the model can take.
    """

    def __init__(
        self, model: SegmentationModel, architecture: str, num_classes: int, normalisation: Normalisation
    ) -> None:
        super().__init__()
        self.model = model
        self.num_classes = num_classes
        self.normalisation = normalisation
        self.has_aux = False
        self._has_prefix_tokens = isinstance(model.encoder, TimmViTEncoder)
        stride: int = model.encoder.output_stride
        self.size_multiple = (
            stride * _MAP_MULTIPLE.get(architecture, 1) if model.requires_divisible_input_shape else 1
        )
        self.smallest_size = max(self.size_multiple, stride * _SMALLEST_MAP.get(architecture, 1))
        self.feature_info = self._measure_features()

    def forward(self, images: Tensor) -> SegOutput:
        padded = self._pad(images)
        if self._has_prefix_tokens:
            encoded, prefix_tokens = self.model.encoder(padded)
            head = self.model.decoder(encoded, prefix_tokens)
            stages = encoded
        else:
            encoded = self.model.encoder(padded)
            head = self.model.decoder(encoded)
            stages = encoded[_FIRST_STAGE:]
        segmentation_head = self.model.segmentation_head
        classify = (
            segmentation_head.head
            if isinstance(segmentation_head, DPTSegmentationHead)
            else segmentation_head[0]
        )
        return SegOutput(
            logits=classify(head),
            aux_logits=None,
            features={
                **{f"stage{index}": stage for index, stage in enumerate(stages, start=1)},
                "head": head,
            },
            padded_size=(padded.shape[-2], padded.shape[-1]),
        )

    def backbone_part(self) -> nn.Module:
        encoder: nn.Module = self.model.encoder
        return encoder

    def backbone_features(self, images: Tensor) -> dict[str, Tensor]:
        encoded = self.model.encoder(self._pad(images))
        stages = encoded[0] if self._has_prefix_tokens else encoded[_FIRST_STAGE:]
        return {f"stage{index}": stage for index, stage in enumerate(stages, start=1)}

    def _pad(self, images: Tensor) -> Tensor:
        missing = [self._missing(side) for side in images.shape[-2:]]
        if all(isinstance(rows, int) and rows == 0 for rows in missing):
            return images
        return F.pad(images, (0, missing[1], 0, missing[0]))

    def _missing(self, side: int) -> int:
        """Pixels to add to a side; symbolic sizes of an export stay symbolic."""
        padded = (side + self.size_multiple - 1) // self.size_multiple * self.size_multiple
        return cast(int, torch.sym_max(padded, self.smallest_size)) - side

    def _measure_features(self) -> dict[str, FeatureInfo]:
        """From one forward pass in evaluation mode, which changes nothing in the model."""
        was_training = self.training
        side = -(-self.smallest_size // 64) * 64
        device = next(self.parameters()).device
        with torch.no_grad():
            output = self.eval()(torch.zeros(1, 3, side, side, device=device))
        self.train(was_training)
        return {
            name: FeatureInfo(feature.shape[1], side // feature.shape[2])
            for name, feature in output.features.items()
        }


def build(name: str, num_classes: int, weights: Weights, options: Mapping[str, Any]) -> SmpNetwork:
    """The network of `smp:ARCH/ENCODER`; `options` go to smp's class and, for `tu-` encoders, on to timm.

    Raises SettingsError or UnknownNameError for a name or option that smp does not have, CheckpointError for
    weights that cannot be had.
    """
    architecture, encoder = _split(name)
    model_class = ARCHITECTURES[architecture]
    kwargs = checked_options(name, model_class, architecture, encoder, options)
    encoder_weights: str | bool | None = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # smp: deprecated encoder names, how to ask for timm's weights
            if weights == "imagenet":
                encoder_weights = True if encoder.startswith("tu-") else "imagenet"
                with download(f"the ImageNet weights of {name}"):
                    model = model_class(
                        encoder, encoder_weights=encoder_weights, classes=num_classes, **kwargs
                    )
            else:
                model = model_class(encoder, encoder_weights=None, classes=num_classes, **kwargs)
        if weights is not None and weights != "imagenet":
            load_backbone(model.encoder, weights)
        return SmpNetwork(model, architecture, num_classes, normalisation_of(encoder))
    except (TypeError, ValueError, LookupError, RuntimeError, AssertionError, AttributeError) as error:
        reason = (str(error.args[0]) if error.args else type(error).__name__).partition("\n")[0].rstrip(".")
        raise SettingsError(
            f"network {name} cannot be built with options {dict(options)}: {reason}."
        ) from error


def _split(name: str) -> tuple[str, str]:
    architecture, slash, encoder = name.partition(":")[2].partition("/")
    if not (architecture and slash and encoder):
        raise SettingsError(f"network {name!r} is not smp:ARCH/ENCODER, as in smp:DeepLabV3Plus/resnet50.")
    lookup(ARCHITECTURES, "smp architecture", architecture.lower())
    if encoder.startswith("tu-"):
        if not timm.is_model(encoder.removeprefix("tu-")):
            nearest = get_close_matches(encoder.removeprefix("tu-"), timm.list_models(), n=5)
            hint = f" Nearest: {', '.join(f'tu-{known}' for known in nearest)}." if nearest else ""
            raise SettingsError(f"network {name}: timm has no model {encoder.removeprefix('tu-')!r}.{hint}")
    else:
        lookup(smp.encoders.encoders, "smp encoder", encoder)
    return architecture.lower(), encoder
