"""The published networks: outputs and names as the authors' code gave them, sizes, features, building."""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from distill.networks import NETWORKS, build_network
from distill.networks.describe import list_networks
from distill.networks.output import SegNetwork
from modelpack.errors import CheckpointError, SettingsError, UnknownNameError
from modelpack.preprocess import CAFFE_BGR, IMAGENET

GOLDEN = Path(__file__).parents[1] / "golden"
GOLDEN_FILES = {
    "network_deeplabv3_resnet18.npz": "deeplabv3_resnet18",
    "network_deeplabv3_mobilenetv2.npz": "deeplabv3_mobilenetv2",
    "network_pspnet_resnet18.npz": "pspnet_resnet18",
}
REL_ERROR = 1e-5
"""The golden outputs are stored as float32; ours are computed in float64."""

PUBLISHED = sorted(set(NETWORKS) - {"smp"})
PARAMETERS_19_CLASSES = {
    "deeplabv3_resnet101": 61.12e6,
    "deeplabv3_resnet18": 13.61e6,
    "pspnet_resnet18": 12.92e6,
    "deeplabv3_mobilenetv2": 3.23e6,
    "pspnet_mobilenetv2": 2.65e6,
}
ROUNDING = 0.005e6


def value_from_name(name: str, shape: tuple[int, ...]) -> Tensor:
    """The golden files' rule: every tensor of the state dict follows from its name alone."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    if name.endswith("running_var"):
        return torch.from_numpy(np.asarray(rng.uniform(0.5, 1.5, shape)))
    if name.endswith("running_mean"):
        return torch.from_numpy(0.1 * rng.standard_normal(shape))
    if len(shape) >= 2:
        return torch.from_numpy(rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:])))
    if name.endswith("bias"):
        return torch.from_numpy(0.1 * rng.standard_normal(shape))
    return torch.from_numpy(np.asarray(rng.uniform(0.5, 1.5, shape)))


@pytest.fixture(params=GOLDEN_FILES, ids=str, scope="module")
def golden(request: pytest.FixtureRequest) -> tuple[SegNetwork, dict[str, Any], dict[str, Any]]:
    with np.load(GOLDEN / request.param) as file:
        arrays = {key: file[key] for key in file.files}
    meta = json.loads(str(arrays.pop("meta")))
    network = build_network(GOLDEN_FILES[request.param], meta["num_classes"]).double().eval()
    return network, meta, arrays


def test_names_and_shapes_are_those_of_the_published_checkpoints(golden):
    network, meta, _ = golden
    assert {name: list(tensor.shape) for name, tensor in network.state_dict().items()} == meta["parameters"]


def test_outputs_are_those_of_the_published_code(golden):
    network, meta, arrays = golden
    network.load_state_dict(
        {name: value_from_name(name, tuple(shape)) for name, shape in meta["parameters"].items()}
    )
    network.aux_in_eval = True
    with torch.no_grad():
        output = network(torch.from_numpy(arrays["input"]))
    middle = [output.aux_logits] if network.has_aux else []
    got = [output.logits, *middle, output.features["stage4"], output.features["head"]]
    wanted = [torch.from_numpy(arrays[f"output_{index}"]).double() for index in range(len(got))]
    assert f"output_{len(got)}" not in arrays
    for index, (tensor, reference) in enumerate(zip(got, wanted, strict=True)):
        assert (tensor - reference).norm() / reference.norm() < REL_ERROR, f"output_{index}"


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS_19_CLASSES.items())
def test_parameter_counts_are_the_published_ones(name, parameters):
    with torch.device("meta"):
        network = build_network(name, 19)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(parameters, abs=ROUNDING)


def test_resnet101_bottlenecks_carry_published_names():
    with torch.device("meta"):
        names = build_network("pspnet_resnet101", 19).state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in names.items()}
    assert shapes["pretrained.layer3.22.conv1.weight"] == (256, 1024, 1, 1)
    assert shapes["pretrained.layer3.22.conv2.weight"] == (256, 256, 3, 3)
    assert shapes["pretrained.layer3.22.conv3.weight"] == (1024, 256, 1, 1)
    assert shapes["pretrained.layer1.0.downsample.0.weight"] == (256, 128, 1, 1)
    assert shapes["head.block.0.weight"] == (512, 4096, 3, 3)


def test_resnet101_dilates_only_its_3x3_convolutions_and_the_first_of_a_stage_by_half():
    with torch.device("meta"):
        backbone = build_network("deeplabv3_resnet101", 19).pretrained
    dilations = {
        stage: [block.conv2.dilation[0] for block in backbone.get_submodule(stage)]
        for stage in ("layer3", "layer4")
    }
    assert dilations == {"layer3": [1] + [2] * 22, "layer4": [2, 4, 4]}
    assert {block.conv1.dilation for block in backbone.layer4} == {(1, 1)}


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        ("deeplabv3_resnet18", {"head.aspp.project.3": 0.5, "head.block.3": 0.1, "auxlayer.block.3": 0.1}),
        ("pspnet_mobilenetv2", {"head.block.3": 0.1}),
    ],
)
def test_dropout_is_the_published_one(name, rates):
    with torch.device("meta"):
        network = build_network(name, 19)
    assert {
        key: module.p for key, module in network.named_modules() if isinstance(module, torch.nn.Dropout)
    } == rates


@pytest.mark.parametrize("name", PUBLISHED)
def test_features_are_as_wide_and_as_coarse_as_described(name):
    with torch.device("meta"):
        network = build_network(name, 7).eval()
        output = network(torch.zeros(1, 3, 65, 97))
    assert (
        set(output.features) == {"stage1", "stage2", "stage3", "stage4", "head"} == set(network.feature_info)
    )
    for feature, info in network.feature_info.items():
        size = (-(-65 // info.stride), -(-97 // info.stride))
        assert output.features[feature].shape == (1, info.channels, *size), feature
    assert output.full_logits((65, 97)).shape == (1, 7, 65, 97)
    assert network.normalisation == CAFFE_BGR


@pytest.mark.parametrize("name", PUBLISHED)
def test_auxiliary_logits_are_given_in_training_only(name):
    with torch.device("meta"):
        network = build_network(name, 7)
        images = torch.zeros(2, 3, 64, 64)
        assert (network(images).aux_logits is not None) == network.has_aux == ("resnet" in name)
        assert network.eval()(images).aux_logits is None


def test_backbone_starts_from_kaiming_fan_out():
    weight = build_network("deeplabv3_resnet18", 2).pretrained.layer4[1].conv2.weight
    assert weight.std().item() == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.02)


def test_normalisation_of_the_recipe_replaces_the_published_one():
    assert build_network("deeplabv3_mobilenetv2", 2, normalisation="imagenet").normalisation == IMAGENET


def test_unknown_network_names_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'deeplabv3_resnet18'"):
        build_network("deeplabv3_resnet", 2)


def test_published_networks_refuse_options():
    with pytest.raises(SettingsError, match="has no options, got depth"):
        build_network("pspnet_mobilenetv2", 2, options={"depth": 3})


def test_imagenet_weights_of_published_backbones_must_be_given_as_a_file():
    with pytest.raises(CheckpointError, match=r"student\.weights=/path/resnet18-imagenet\.pth"):
        build_network("deeplabv3_resnet18", 2, weights="imagenet")


def test_listing_gives_parameters_operations_and_features():
    small, large = (list_networks(size, ["deeplabv3_mobilenetv2"])[0] for size in ((64, 64), (128, 128)))
    assert small["name"] == "deeplabv3_mobilenetv2"
    assert small["parameters"] == large["parameters"] == pytest.approx(3.23e6, abs=ROUNDING)
    assert 3.8 < large["macs"] / small["macs"] <= 4
    assert small["features"]["stage4"] == {"channels": 320, "stride": 8}


def test_operations_are_counted_as_multiplications_with_addition():
    entry = list_networks((32, 32), ["deeplabv3_mobilenetv2"])[0]
    first_conv = 32 * 3 * 9 * 16 * 16
    assert entry["macs"] > first_conv
    assert entry["macs"] == sum(conv_macs("deeplabv3_mobilenetv2", 32))


def conv_macs(name: str, side: int) -> list[int]:
    """Counted by hooks: every convolution's kernel volume at every output pixel."""
    network = build_network(name, 19).eval()
    counts: list[int] = []
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda m, _, out: counts.append(m.weight[0].numel() * out.numel()))
    with torch.no_grad():
        network(torch.zeros(1, 3, side, side))
    return counts
