"""Any network made to compute with int8 values: what is replaced, what is shared, what stays."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from distill.networks import build_network
from distill.networks.output import SegNetwork
from distill.quantisation.calibration import activation_quantisers, calibrate
from distill.quantisation.dataflow import trace
from distill.quantisation.fold_norms import fold_norms
from distill.quantisation.insert import quantise_network
from distill.quantisation.layers import QuantisedConv2d, QuantisedLayer
from distill.quantisation.settings import QuantisationConfig
from distill.weights import load_weights, save_weights
from modelpack.errors import CheckpointError, SettingsError, UnknownNameError
from modelpack.settings import parse_settings
from tests.distill.small_networks import (
    Branching,
    InPlace,
    TwoConvolutions,
    WithLinear,
    WithOwnForward,
    with_statistics,
)

ROUNDING = 1e-5
"""Of folding in float32, as a share of the largest value."""
LARGEST_ERROR = 0.15
"""Of quantised logits, root mean square as a share of the logits' own. It is 0.01 to 0.06."""
DEFAULTS = QuantisationConfig()
PIXELS = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), np.uint8)


@torch.no_grad()
def logits(network: SegNetwork) -> Tensor:
    """Of `PIXELS`, normalised roughly."""
    return network(torch.from_numpy(PIXELS).permute(0, 3, 1, 2).float() / 60 - 2).logits


def quantised(network: SegNetwork, **settings: object) -> SegNetwork:
    quantise_network(network, QuantisationConfig(calibrator="minmax", **settings))
    calibrate(network, [PIXELS], "minmax")
    return network


def quantised_layers(network: SegNetwork) -> list[str]:
    return [name for name, module in network.named_modules() if isinstance(module, QuantisedLayer)]


def networks() -> Iterator[tuple[str, SegNetwork]]:
    torch.manual_seed(0)
    for kind in (TwoConvolutions, Branching, InPlace, WithLinear, WithOwnForward):
        yield kind.__name__, with_statistics(kind())
    yield "depthwise", with_statistics(build_network("deeplabv3_mobilenetv2", 5))
    yield "norms with activations", with_statistics(build_network("smp:FPN/tu-regnetx_002", 5))


@pytest.fixture(scope="module")
def all_networks() -> dict[str, SegNetwork]:
    return dict(networks())


NAMES = (
    "TwoConvolutions", "Branching", "InPlace", "WithLinear", "WithOwnForward", "depthwise",
    "norms with activations",
)  # fmt: skip


@pytest.fixture(params=NAMES)
def network(request: pytest.FixtureRequest, all_networks: dict[str, SegNetwork]) -> SegNetwork:
    """Its own copy, in evaluation mode, with norms that do something."""
    return deepcopy(all_networks[request.param])


def test_folding_norms_leaves_the_answers_as_they_were(network: SegNetwork):
    before = logits(network)
    fold_norms(network, trace(network).norms)
    assert (logits(network) - before).abs().max() < ROUNDING * before.abs().max()


def test_a_calibrated_network_answers_nearly_as_the_float_one(network: SegNetwork):
    before = logits(network)
    error = logits(quantised(network)) - before
    assert 0 < error.norm() < LARGEST_ERROR * before.norm()


def test_every_weight_keeps_its_name(network: SegNetwork):
    norms = {name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}
    names = {name for name in network.state_dict() if name.rpartition(".")[0] not in norms}
    assert names <= quantise_network(network, DEFAULTS).state_dict().keys()


def test_all_state_goes_through_a_checkpoint(network: SegNetwork, tmp_path: Path):
    other = quantise_network(deepcopy(network), DEFAULTS)
    save_weights(quantised(network), tmp_path / "student.safetensors")
    load_weights(other, tmp_path / "student.safetensors")
    assert torch.equal(logits(other), logits(network))


def test_a_copy_computes_with_its_own_scales(network: SegNetwork):
    copy = deepcopy(quantised(network))
    before = logits(network)
    for quantiser in activation_quantisers(copy).values():
        quantiser.log_scale.data += 3
    assert torch.equal(logits(network), before)
    assert not torch.equal(logits(copy), before)


def test_no_norm_is_left_and_no_layer_is_float_in_a_network_of_plain_layers(
    all_networks: dict[str, SegNetwork],
):
    network = quantise_network(deepcopy(all_networks["norms with activations"]), DEFAULTS)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert {type(module) for module in network.modules() if isinstance(module, (nn.Conv2d, nn.Linear))} == {
        QuantisedConv2d
    }


def test_layers_that_read_one_tensor_share_its_scale():
    network = quantise_network(Branching(), DEFAULTS)
    assert network.left._quantiser[0] is network.right._quantiser[0]
    assert list(activation_quantisers(network)) == ["quantisers.stem", "quantisers.right", "quantisers.head"]


def test_a_tensor_that_was_changed_in_place_between_two_readers_has_two_scales():
    network = quantise_network(InPlace(), DEFAULTS)
    assert network.left._quantiser[0] is not network.right._quantiser[0]


def test_a_norm_stays_where_something_else_reads_the_convolution_too():
    network = quantise_network(Branching(), DEFAULTS)
    assert isinstance(network.right_norm, nn.BatchNorm2d)
    assert isinstance(network.norm, nn.Identity)


def test_a_layer_with_a_forward_of_its_own_stays_float_and_is_told(caplog: pytest.LogCaptureFixture):
    with caplog.at_level("INFO"):
        network = quantise_network(WithOwnForward(), DEFAULTS)
    assert quantised_layers(network) == ["stem", "head"]
    assert "left in float: 1 of 3 layers (special)" in caplog.text


def test_the_first_and_the_last_layer_can_stay_float():
    network = quantise_network(Branching(), QuantisationConfig(skip_first=True, skip_last=True))
    assert quantised_layers(network) == ["left", "right"]


def test_layers_stay_float_by_name():
    network = quantise_network(Branching(), QuantisationConfig(skip=("ri*", "head")))
    assert quantised_layers(network) == ["stem", "left"]
    assert list(activation_quantisers(network)) == ["quantisers.stem", "quantisers.right"]


def test_a_name_that_fits_no_layer_is_refused_with_those_that_are_near():
    with pytest.raises(SettingsError, match=r"skip: 'haed' is the name of no layer .* head"):
        quantise_network(Branching(), QuantisationConfig(skip=("haed",)))


def test_a_network_without_quantised_layers_is_refused():
    with pytest.raises(SettingsError, match="leaves every layer in float"):
        quantise_network(Branching(), QuantisationConfig(skip=("*",)))


def test_a_weight_can_have_one_scale_for_all_of_it():
    network = with_statistics(TwoConvolutions())
    by_channel = quantise_network(deepcopy(network), DEFAULTS)
    whole = quantise_network(network, QuantisationConfig(weights="per_tensor"))
    scales = by_channel.stem.scales_of(by_channel.stem.weight)
    assert scales.shape == (8,)
    assert whole.stem.scales_of(whole.stem.weight) == scales.max()


def test_scales_are_learned_or_fixed():
    for learns in (True, False):
        network = quantise_network(TwoConvolutions(), QuantisationConfig(learn_scales=learns))
        names = [name for name, _ in network.named_parameters() if name.endswith("log_scale")]
        assert len(names) == (2 if learns else 0)
        assert sum(name.endswith("log_scale") for name in network.state_dict()) == 2


def test_an_unknown_calibrator_is_refused_by_name():
    with pytest.raises(UnknownNameError, match=r"unknown calibrator 'mes'\. Did you mean 'mse'"):
        parse_settings(QuantisationConfig, {"calibrator": "mes"}, "recipe")


def test_calibration_shows_the_network_to_the_images_and_leaves_its_mode():
    network = quantise_network(with_statistics(TwoConvolutions()), DEFAULTS).train()
    calibrate(network, [PIXELS, 255 - PIXELS], "minmax")
    assert network.training
    stem = network.quantisers["stem"].log_scale.exp().item()
    normalisation = network.normalisation
    largest = max(
        abs((value / 1.0 - mean) / deviation)
        for value in (0, 255)
        for mean, deviation in zip(normalisation.mean, normalisation.std, strict=True)
    )
    assert stem == pytest.approx(largest / 127, rel=1e-3)


def test_weights_of_a_quantised_network_are_no_weights_of_a_float_one(tmp_path: Path):
    save_weights(quantised(with_statistics(TwoConvolutions())), tmp_path / "student.safetensors")
    with pytest.raises(CheckpointError, match="are of a quantised student"):
        load_weights(TwoConvolutions(), tmp_path / "student.safetensors")
