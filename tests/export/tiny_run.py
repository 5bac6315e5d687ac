"""A finished training run of a network with two layers, made in milliseconds."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill.datasets.camvid import CAMVID_LABELS
from distill.networks.output import SegNetwork, SegOutput
from distill.run import LABELS_FILE, RESULT_FILE, SETTINGS_FILE, STUDENT_FILE
from distill.weights import save_weights
from modelpack.preprocess import IMAGENET

HEIGHT, WIDTH = 64, 96
PACKED_HEIGHT, PACKED_WIDTH = 40, 56
"""Of the shared package: smaller than the images, by no factor at which resize filters agree."""
STRIDE = 4
NETWORK = "tiny"


class TinyNetwork(SegNetwork):
    """One strided convolution and a classifier; pads its input to a multiple of the stride."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.num_classes, self.normalisation, self.feature_info, self.has_aux = (
            num_classes,
            IMAGENET,
            {},
            False,
        )
        self.stem = nn.Conv2d(3, 24, 3, stride=STRIDE, padding=1)
        self.head = nn.Conv2d(24, num_classes, 1)
        nn.init.normal_(self.head.weight, std=2.0)

    def forward(self, images: Tensor) -> SegOutput:
        height, width = images.shape[-2:]
        padded = F.pad(images, (0, -width % STRIDE, 0, -height % STRIDE))
        logits = self.head(self.middle(self.stem(padded)).relu())
        return SegOutput(logits, None, {}, (padded.shape[-2], padded.shape[-1]))

    def middle(self, features: Tensor) -> Tensor:
        return features


class PooledNetwork(TinyNetwork):
    """With a pyramid level as PSPNet has it: adaptive pooling, whose windows a tracer fixes."""

    def middle(self, features: Tensor) -> Tensor:
        pooled = F.adaptive_avg_pool2d(features, 6)
        return features + F.interpolate(pooled, features.shape[-2:], mode="bilinear", align_corners=True)


class UnsupportedNetwork(TinyNetwork):
    """With an operator that ONNX does not have."""

    def middle(self, features: Tensor) -> Tensor:
        return features + torch.special.bessel_j0(features)


BUILDERS = {
    name: lambda _name, num_classes, _weights, _options, kind=kind: kind(num_classes)
    for name, kind in {
        NETWORK: TinyNetwork,
        "pooled": PooledNetwork,
        "unsupported": UnsupportedNetwork,
    }.items()
}
"""Entries for `NETWORKS`."""


def write_tiny_run(
    folder: Path,
    network: str = NETWORK,
    *,
    student: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    images: int = 6,
) -> Path:
    """A run folder as `distill train` leaves it, on generated streets."""
    folder.mkdir(parents=True)
    streets = {"name": "streets", "height": HEIGHT, "width": WIDTH, "train": 4, "val": images, "test": 4}
    settings = {
        "name": "tiny run",
        "output": str(folder.parent),
        "data": data or streets,
        "student": {"network": network, **(student or {})},
    }
    (folder / SETTINGS_FILE).write_text(json.dumps(settings))
    (folder / LABELS_FILE).write_text(CAMVID_LABELS.model_dump_json())
    (folder / RESULT_FILE).write_text(json.dumps({"report": {"miou": 0.1, "split": "val", "images": images}}))
    save_weights(BUILDERS[network](network, CAMVID_LABELS.num_classes, None, {}), folder / STUDENT_FILE)
    return folder
