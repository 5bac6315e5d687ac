"""smp behind our interface: equal numbers, named features, any size, clear refusals."""

import time

import pytest
import torch

from distill.networks import build_network
from distill.weights import load_weights, save_weights
from modelpack.errors import CheckpointError, SettingsError, UnknownNameError
from modelpack.preprocess import IMAGENET

SIZE = (128, 160)
"""A multiple of what every architecture needs."""
ARCHITECTURES = (
    "Unet", "UnetPlusPlus", "FPN", "DeepLabV3", "DeepLabV3Plus", "PSPNet",
    "Linknet", "MAnet", "PAN", "UPerNet", "Segformer",
)  # fmt: skip
NAMES = (
    *(f"smp:{architecture}/resnet18" for architecture in ARCHITECTURES),
    "smp:FPN/tu-mobilenetv3_small_100",
    "smp:Segformer/mit_b0",
    "smp:DPT/tu-vit_tiny_patch16_224",
    "smp:UPerNet/tu-swin_tiny_patch4_window7_224",
)
SMALL = "smp:FPN/tu-mobilenetv3_small_100"
REFUSAL_WITHIN_S = 20


@pytest.fixture(params=NAMES, ids=str, scope="module")
def network(request: pytest.FixtureRequest):
    return build_network(request.param, 5).eval()


def test_full_logits_are_what_smp_itself_gives(network):
    images = torch.randn(1, 3, *SIZE)
    with torch.no_grad():
        output = network(images)
        assert torch.equal(output.full_logits(SIZE), network.model(images))
    assert output.padded_size == SIZE


def test_features_are_as_described(network):
    with torch.no_grad():
        output = network(torch.randn(1, 3, *SIZE))
    sizes = {
        name: (f.shape[1], SIZE[0] // f.shape[2], SIZE[1] // f.shape[3])
        for name, f in output.features.items()
    }
    assert sizes == {
        name: (info.channels, info.stride, info.stride) for name, info in network.feature_info.items()
    }


@pytest.mark.parametrize("size", [(65, 97), (32, 33)])
def test_any_size_is_padded_and_cut_back(network, size):
    with torch.no_grad():
        output = network(torch.randn(1, 3, *size))
        height, width = output.padded_size
        assert height >= size[0]
        assert width >= size[1]
        assert output.full_logits(size).shape == (1, 5, *size)


def test_padding_is_zeros_at_the_bottom_and_right():
    network = build_network(SMALL, 5).eval()
    images = torch.randn(1, 3, 96, 128)
    images[..., 70:, :] = 0
    images[..., 100:] = 0
    with torch.no_grad():
        assert torch.equal(network(images[..., :70, :100]).logits, network(images).logits)


def test_stages_are_those_of_a_resnet():
    info = build_network("smp:DeepLabV3/resnet18", 5).feature_info
    stages = {name: (entry.channels, entry.stride) for name, entry in info.items()}
    assert stages == {
        "stage1": (64, 4),
        "stage2": (128, 8),
        "stage3": (256, 8),
        "stage4": (512, 8),
        "head": (256, 8),
    }


def test_building_leaves_the_norm_statistics_and_the_mode_alone():
    network = build_network(SMALL, 5)
    assert network.training
    counters = [value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")]
    assert counters
    assert not any(counters)


def test_options_reach_the_architecture():
    assert (
        build_network(SMALL, 5, options={"decoder_segmentation_channels": 32}).feature_info["head"].channels
        == 32
    )


def test_encoders_bring_their_own_normalisation():
    assert build_network("smp:FPN/resnet18", 5).normalisation == IMAGENET
    assert build_network("smp:DPT/tu-vit_tiny_patch16_224", 5).normalisation.mean == (127.5, 127.5, 127.5)


def test_weights_of_the_whole_network_load_again(tmp_path):
    source, other = build_network(SMALL, 5), build_network(SMALL, 5)
    save_weights(source, tmp_path / "w.safetensors")
    load_weights(other, tmp_path / "w.safetensors")
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in source.state_dict().items())


def test_torchvision_file_fills_the_encoder(tmp_path):
    torchvision_models = pytest.importorskip("torchvision.models")
    source = torchvision_models.resnet18()
    torch.save(source.state_dict(), tmp_path / "resnet18.pth")
    network = build_network("smp:FPN/resnet18", 5, weights=tmp_path / "resnet18.pth")
    assert torch.equal(network.model.encoder.layer4[1].conv2.weight, source.layer4[1].conv2.weight)


@pytest.mark.parametrize("timm_name", ["mobilenetv3_small_100", "convnext_atto"])
def test_timm_file_fills_the_encoder(tmp_path, timm_name):
    import timm

    source = timm.create_model(timm_name)
    save_weights(source, tmp_path / "timm.safetensors")
    network = build_network(f"smp:FPN/tu-{timm_name}", 5, weights=tmp_path / "timm.safetensors")
    loaded = {tuple(p.shape): p for p in network.model.encoder.parameters() if p.dim() == 4}
    candidates = [p for p in source.parameters() if p.dim() == 4]
    assert all(any(torch.equal(p, c) for c in candidates if c.shape == p.shape) for p in loaded.values())


def test_encoder_file_of_another_network_is_refused(tmp_path):
    save_weights(build_network("smp:FPN/resnet18", 5).model.encoder, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match=r"\d+ missing: model\.conv_stem\.weight"):
        build_network(SMALL, 5, weights=tmp_path / "w.safetensors")


@pytest.mark.parametrize("name", ["smp:FPN/resnet18", SMALL])
@pytest.mark.parametrize("switched_off", [True, False])
def test_imagenet_weights_out_of_reach_are_one_sentence_soon(monkeypatch, tmp_path, name, switched_off):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", switched_off)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    started = time.monotonic()
    with pytest.raises(CheckpointError, match=r"cannot be downloaded: .*student\.weights=/path/to/file"):
        build_network(name, 5, weights="imagenet")
    assert time.monotonic() - started < REFUSAL_WITHIN_S
    assert huggingface_hub.constants.HF_HUB_OFFLINE is switched_off


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("smp:Unett/resnet18", UnknownNameError, "unknown smp architecture 'unett'. Did you mean 'unet'"),
        ("smp:Unet/resnet81", UnknownNameError, "unknown smp encoder 'resnet81'. Did you mean 'resnet18'"),
        ("smp:Unet/tu-resnet81", SettingsError, "timm has no model 'resnet81'. Nearest: tu-resnet18"),
        ("smp:Unet", SettingsError, "is not smp:ARCH/ENCODER"),
        ("smp:Linknet/mit_b0", SettingsError, "not supported for Linknet"),
        ("smp:DeepLabV3/xception", SettingsError, "does not support dilated mode"),
    ],
)
def test_names_that_smp_does_not_have(name, error, message):
    with pytest.raises(error, match=message):
        build_network(name, 5)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("smp:FPN/resnet18", {"decoder_chanels": 3}, "unknown option of smp:FPN/resnet18 'decoder_chanels'"),
        (SMALL, {"decoder_chanels": 3}, "unexpected keyword argument 'decoder_chanels'"),
        ("smp:FPN/resnet18", {"classes": 3}, "options.classes is not for recipes to set"),
        ("smp:DeepLabV3/resnet18", {"encoder_output_stride": 5}, "support output stride 8 or 16, got 5"),
    ],
)
def test_options_that_do_not_fit(name, options, message):
    with pytest.raises((SettingsError, UnknownNameError), match=message):
        build_network(name, 5, options=options)
