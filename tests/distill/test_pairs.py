"""Any network teaches any other: strides are brought onto one grid, widths are aligned."""

import csv
import math

import pytest
import torch
from torch import nn

from distill.datasets.camvid import CAMVID_LABELS
from distill.networks import build_network
from distill.train import train
from distill.weights import save_weights
from tests.distill.tiny_recipe import KD, as_config, tiny_values

STEPS = 2
SIDE = 64
PAIRS = {
    # the published pairs
    "deeplabv3_resnet101 -> deeplabv3_resnet18": "stage4",
    "deeplabv3_resnet101 -> deeplabv3_mobilenetv2": "stage4",
    "deeplabv3_resnet101 -> pspnet_resnet18": "stage4",
    "deeplabv3_resnet101 -> pspnet_mobilenetv2": "head",
    # transformers, and across
    "smp:Segformer/mit_b4 -> smp:Segformer/mit_b0": "stage4",
    "smp:Segformer/mit_b0 -> deeplabv3_resnet18": "stage3",
    "smp:DeepLabV3/resnet50 -> smp:Segformer/mit_b0": "stage4",
    # Knowledge Adaptation
    "smp:DeepLabV3/resnet50 -> smp:DeepLabV3/mobilenet_v2": "stage4",
    "smp:DeepLabV3/tu-xception41 -> smp:DeepLabV3/mobilenet_v2": "stage4",
    # CIRKDv2's students
    "smp:DeepLabV3Plus/resnet34 -> smp:DeepLabV3Plus/tu-mobilenetv3_large_100": "stage4",
    "smp:DeepLabV3Plus/resnet34 -> smp:FPN/tu-mobilevitv2_050": "stage4",
    # unlike each other in every way
    "smp:FPN/resnet34 -> smp:FPN/tu-regnetx_002": "stage2",
    "smp:UPerNet/resnet18 -> smp:Unet/tu-mobilenetv3_small_100": "head",
    "deeplabv3_resnet18 -> smp:Linknet/resnet18": "stage2",
}
"""Teacher -> student, and the feature that is taught."""
QUICK = ("smp:FPN/resnet34 -> smp:FPN/tu-regnetx_002", "smp:Segformer/mit_b0 -> deeplabv3_resnet18")


@pytest.fixture(scope="module")
def teacher_of(tmp_path_factory):
    """Network -> file of random weights whose norms know their input, so that outputs stay finite."""
    folder = tmp_path_factory.mktemp("teachers")

    def make(network):
        path = folder / f"{network.replace('/', '-').replace(':', '-')}.safetensors"
        if not path.is_file():
            torch.manual_seed(0)
            teacher = build_network(network, CAMVID_LABELS.num_classes)
            for module in teacher.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.momentum = 1.0
            with torch.no_grad():
                teacher(torch.randn(2, 3, SIDE, SIDE))
            save_weights(teacher, path)
        return path

    return make


@pytest.mark.parametrize(
    "pair", [pytest.param(pair, marks=() if pair in QUICK else pytest.mark.slow) for pair in PAIRS]
)
def test_a_pair_takes_its_steps_with_finite_losses_that_teach(pair, teacher_of, tmp_path):
    teacher, student = pair.split(" -> ")
    afdcd = {
        "name": "afdcd",
        "student_feature": PAIRS[pair],
        "teacher_feature": PAIRS[pair],
        "normalisation": "per_element",
        "imitation_weight": 1.0,
        "contrast_weight": 0.1,
        "reduce": "none",
        "patch": 2,
        "groups": 2,
    }
    values = tiny_values(
        tmp_path,
        data={"name": "streets", "height": SIDE, "width": SIDE, "train": 4, "val": 1, "test": 1},
        augment={"crop": [SIDE, SIDE]},
        optim={"steps": STEPS, "batch": 2},
    )
    values["student"] = {"network": student}
    values["teacher"] = {"network": teacher, "checkpoint": str(teacher_of(teacher)), "min_miou": 0}
    values["methods"] = [KD, afdcd]
    run = train(as_config(values))
    *_, row = csv.DictReader((run.folder / "results.csv").open())
    for term in ("loss/task", "loss/kd/logits", "loss/afdcd/imitation", "loss/afdcd/contrast"):
        assert math.isfinite(float(row[term]))
        assert float(row[term]) > 0
