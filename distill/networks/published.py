"""The paper's own networks: DeepLabV3 and PSPNet on dilated ResNet and MobileNetV2, output stride 8.

Names and arithmetic are those of the published checkpoints (`CIRKD`, `Af-DCD`), which load as they are.
Backbones start from Kaiming fan-out noise, heads from the framework's defaults.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from distill.networks.backbone_weights import Weights, load_backbone
from distill.networks.deeplabv3 import DeepLabV3Head
from distill.networks.fcn_head import FcnHead
from distill.networks.mobilenetv2 import DilatedMobileNetV2
from distill.networks.output import FeatureInfo, SegNetwork, SegOutput
from distill.networks.pspnet import PspHead
from distill.networks.resnet import DilatedResNet, resnet18, resnet101
from modelpack.errors import CheckpointError, SettingsError
from modelpack.preprocess import CAFFE_BGR
from modelpack.tables import lookup


@dataclass(frozen=True)
class Design:
    """What distinguishes one published network from another."""

    backbone: Callable[[], DilatedResNet | DilatedMobileNetV2]
    head: type[DeepLabV3Head] | type[PspHead]
    head_width: int
    has_aux: bool


DESIGNS: dict[str, Design] = {
    "deeplabv3_resnet18": Design(resnet18, DeepLabV3Head, 128, has_aux=True),
    "deeplabv3_resnet101": Design(resnet101, DeepLabV3Head, 256, has_aux=True),
    "deeplabv3_mobilenetv2": Design(DilatedMobileNetV2, DeepLabV3Head, 128, has_aux=False),
    "pspnet_resnet18": Design(resnet18, PspHead, 128, has_aux=True),
    "pspnet_resnet101": Design(resnet101, PspHead, 512, has_aux=True),
    "pspnet_mobilenetv2": Design(DilatedMobileNetV2, PspHead, 128, has_aux=False),
}


class PublishedNetwork(SegNetwork):
    """Backbone `pretrained`, `head` on stage 4, auxiliary head `auxlayer` on stage 3 where there is one."""

    aux_in_eval: bool = False
    """Give `aux_logits` in evaluation mode too, as the published code does."""

    def __init__(self, design: Design, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.normalisation = CAFFE_BGR
        self.has_aux = design.has_aux
        self.pretrained = design.backbone()
        stages = self.pretrained.feature_info
        last = stages["stage4"]
        self.feature_info = {**stages, "head": FeatureInfo(design.head_width, last.stride)}
        self.head = design.head(last.channels, design.head_width, num_classes)
        self.auxlayer = FcnHead(stages["stage3"].channels, num_classes) if design.has_aux else None

    def forward(self, images: Tensor) -> SegOutput:
        features = self.pretrained(images)
        logits, head = self.head(features["stage4"])
        gives_aux = self.auxlayer is not None and (self.training or self.aux_in_eval)
        return SegOutput(
            logits=logits,
            aux_logits=self.auxlayer(features["stage3"]) if self.auxlayer is not None and gives_aux else None,
            features={**features, "head": head},
            padded_size=(images.shape[-2], images.shape[-1]),
        )

    def backbone_part(self) -> DilatedResNet | DilatedMobileNetV2:
        return self.pretrained

    def backbone_features(self, images: Tensor) -> dict[str, Tensor]:
        features: dict[str, Tensor] = self.pretrained(images)
        return features


def build(name: str, num_classes: int, weights: Weights, options: Mapping[str, Any]) -> PublishedNetwork:
    """The network `name` of `DESIGNS`.

    Raises SettingsError for any option (there are none), CheckpointError for weights that do not load.
    """
    design = lookup(DESIGNS, "network", name)
    if options:
        raise SettingsError(
            f"network {name} has no options, got {', '.join(options)}; only smp:ARCH/ENCODER has."
        )
    network = PublishedNetwork(design, num_classes)
    if weights == "imagenet":
        backbone = name.partition("_")[2]
        raise CheckpointError(
            f"network {name}: ImageNet weights for its backbone (not torchvision's) cannot be downloaded. "
            f"Give the authors' file, student.weights=/path/{backbone}-imagenet.pth, "
            "or start from noise, student.weights=null."
        )
    if weights is not None:
        load_backbone(network.pretrained, weights)
    return network
