"""The frozen network whose map the student learns."""

from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from distill.networks.output import SegNetwork, SegOutput, normalise
from distill.pretrain.backbones import build_backbone, map_width
from distill.pretrain.config import PretrainTeacherConfig
from distill.pretrain.projection_head import read_head
from distill.pretrain.spatial_adaptor import spatial_adaptor
from distill.run import TrainingRun, load_student
from distill.weights import STUDENT_FILE
from modelpack.atomic import sha256_file
from modelpack.errors import SettingsError, UnknownNameError
from modelpack.preprocess import Normalisation


class FrozenTeacher(nn.Module):
    """Images (N, H, W, 3) uint8 to the map (N, D, h, w). In evaluation mode always, without gradient.

    In training mode, as the published code has it, norms would use the batch, and the adapted head would no
    longer be the vector head.
    """

    def __init__(
        self, backbone: nn.Module, head: nn.Module, normalisation: Normalisation, width: int
    ) -> None:
        super().__init__()
        self.backbone, self.head, self.normalisation = backbone, head, normalisation
        self.width = width
        """D."""
        self.requires_grad_(False).train(False)

    def train(self, mode: bool = True) -> Self:
        return super().train(False)

    @torch.no_grad()
    def forward(self, images_nhwc_u8: Tensor) -> Tensor:
        maps: Tensor = self.head(self.backbone(normalise(images_nhwc_u8, self.normalisation)))
        return maps


class SegmentationMap(nn.Module):
    """One feature of a segmentation network; its decoder runs only where the feature is the decoder's."""

    def __init__(self, network: SegNetwork, feature: str) -> None:
        super().__init__()
        self.network, self.feature = network, feature

    def forward(self, images: Tensor) -> Tensor:
        if self.feature.startswith("stage"):
            return self.network.backbone_features(images)[self.feature]
        output: SegOutput = self.network(images)
        return output.feature(self.feature)


def build_teacher(config: PretrainTeacherConfig, size: tuple[int, int]) -> FrozenTeacher:
    """The teacher of a recipe, for views of `size` (height, width).

    Raises SettingsError, UnknownNameError or CheckpointError for one that cannot be had or does not fit.
    """
    if config.run is not None:
        network = load_student(TrainingRun.open(config.run))
        if config.feature not in network.feature_info:
            raise UnknownNameError("teacher feature", config.feature, list(network.feature_info))
        refuse_padding(network, size)
        width = network.feature_info[config.feature].channels
        backbone = SegmentationMap(network, config.feature)
        return FrozenTeacher(backbone, nn.Identity(), network.normalisation, width)
    assert config.network is not None
    assert config.weights is not None
    trunk, normalisation, state = build_backbone(config.network, config.weights, config.prefix)
    channels = map_width(trunk, size, config.network)
    if config.head is None:
        return FrozenTeacher(trunk, nn.Identity(), normalisation, channels)
    head = spatial_adaptor(read_head(state, config.head))
    convolutions = [layer for layer in head if isinstance(layer, nn.Conv2d)]
    if not convolutions or convolutions[0].in_channels != channels:
        raise SettingsError(
            f"teacher.head {config.head} does not take the {channels} channels of {config.network}'s map."
        )
    return FrozenTeacher(trunk, head, normalisation, convolutions[-1].out_channels)


def refuse_padding(network: SegNetwork, size: tuple[int, int]) -> None:
    """Raises SettingsError where the network pads views: their maps would show more than the views."""
    with torch.no_grad():
        padded = network.eval()(torch.zeros(1, 3, *size)).padded_size
    if padded != size:
        raise SettingsError(
            f"views of {size[0]}x{size[1]} would be padded to {padded[0]}x{padded[1]} by a network. Give "
            f"pretrain.views.size=[{padded[0]},{padded[1]}]."
        )


def describe_teacher(config: PretrainTeacherConfig) -> dict[str, Any]:
    """For the result: what the teacher was, with the sha256 of its weights where they are a file."""
    if config.run is not None:
        run = TrainingRun.open(config.run)
        return {
            "network": run.config.student.network,
            "feature": config.feature,
            "weights_sha256": sha256_file(config.run / STUDENT_FILE),
        }
    sha256 = sha256_file(config.weights) if isinstance(config.weights, Path) else None
    weights = "imagenet" if sha256 is None else "file"
    return {"network": config.network, "head": config.head, "weights": weights, "weights_sha256": sha256}
