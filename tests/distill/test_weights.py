"""Weights on disk: what loads, and what each kind of wrong file says."""

import logging
from pathlib import Path

import pytest
import torch

from distill.networks import build_network
from distill.networks.output import SegNetwork
from distill.weights import STUDENT_FILE, load_weights, save_weights
from modelpack.errors import CheckpointError

NAME = "deeplabv3_mobilenetv2"


def network(num_classes: int = 3, name: str = NAME) -> SegNetwork:
    return build_network(name, num_classes)


def same(one: SegNetwork, other: SegNetwork) -> bool:
    return all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items())


@pytest.fixture(scope="module")
def source() -> SegNetwork:
    return network()


def test_saved_weights_load_again(source, tmp_path):
    save_weights(source.to(memory_format=torch.channels_last), tmp_path / "w.safetensors")
    other = network()
    assert not same(source, other)
    load_weights(other, tmp_path / "w.safetensors")
    assert same(source, other)
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_training_run_folder_loads(source, tmp_path):
    save_weights(source, tmp_path / STUDENT_FILE)
    other = network()
    load_weights(other, tmp_path)
    assert same(source, other)


@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": s}]
)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_published_files_load_wrapped_or_parallel(source, tmp_path, wrap, prefix):
    torch.save(wrap({prefix + key: value for key, value in source.state_dict().items()}), tmp_path / "w.pth")
    other = network()
    load_weights(other, tmp_path / "w.pth")
    assert same(source, other)


def test_old_files_without_norm_counters_load(source, tmp_path):
    state = {
        key: value for key, value in source.state_dict().items() if not key.endswith("num_batches_tracked")
    }
    torch.save(state, tmp_path / "w.pth")
    load_weights(network(), tmp_path / "w.pth")


def test_missing_file_says_what_to_give(tmp_path):
    with pytest.raises(CheckpointError, match=r"nothing\.pth do not exist\. Give a training run's folder"):
        load_weights(network(), tmp_path / "nothing.pth")


def test_folder_of_an_unfinished_run_is_named(tmp_path):
    with pytest.raises(
        CheckpointError, match=rf"not the folder of a finished training run: it has no {STUDENT_FILE}"
    ):
        load_weights(network(), tmp_path)


def test_partial_checkpoint_lists_missing_and_left_over(source, tmp_path):
    state = source.state_dict()
    for key in [key for key in state if key.startswith("head.aspp.b1")]:
        del state[key]
    state["surplus.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "w.pth")
    other = network()
    before = {key: value.clone() for key, value in other.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_weights(other, tmp_path / "w.pth")
    assert "5 missing: head.aspp.b1.block.0.weight, head.aspp.b1.block.1.weight" in str(caught.value)
    assert ", ... 1 more; 1 left over: surplus.weight." in str(caught.value)
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in before.items())


def test_other_network_lists_shapes(source, tmp_path):
    state = source.state_dict()
    state["head.block.0.weight"] = torch.zeros(64, 128, 3, 3)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(
        CheckpointError, match=r"1 of another shape: head\.block\.0\.weight \(64, 128, 3, 3\) instead of"
    ):
        load_weights(network(), tmp_path / "w.pth")


@pytest.mark.parametrize("name", [NAME, "pspnet_resnet18"])
def test_other_class_count_has_its_own_sentence(name, tmp_path):
    save_weights(network(5, name), tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match="are for 5 classes, the network has 3"):
        load_weights(network(3, name), tmp_path / "w.safetensors")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"not weights at all" * 9]
)
def test_damaged_file_is_named(source, tmp_path, suffix, damage):
    path = tmp_path / f"w{suffix}"
    if suffix == ".pth":
        torch.save(source.state_dict(), path)
    else:
        save_weights(source, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError, match=r"w\.(pth|safetensors) are damaged"):
        load_weights(network(), path)


def test_pickled_code_is_not_run(tmp_path):
    torch.save({"state_dict": Path(tmp_path)}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="hold more than tensors"):
        load_weights(network(), tmp_path / "w.pth")


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, torch.zeros(3), [1, 2]])
def test_file_without_a_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="hold no state dict"):
        load_weights(network(), tmp_path / "w.pth")


def test_diverged_weights_are_refused(tmp_path):
    diverged = network()
    torch.nn.init.constant_(diverged.head.block[4].bias, float("nan"))
    save_weights(diverged, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match=r"NaN or infinity in head\.block\.4\.bias"):
        load_weights(network(), tmp_path / "w.safetensors")


@pytest.mark.parametrize(("name", "classifier"), [("deeplabv3_resnet18", "fc"), (NAME, "classifier.1")])
def test_backbone_file_fills_the_backbone_and_logs_the_classifier(tmp_path, caplog, name, classifier):
    backbone = network(name=name).pretrained
    surplus = {f"{classifier}.weight": torch.zeros(1000, 8), f"{classifier}.bias": torch.zeros(1000)}
    torch.save({**backbone.state_dict(), **surplus}, tmp_path / "imagenet.pth")
    with caplog.at_level(logging.INFO):
        other = build_network(name, 3, weights=tmp_path / "imagenet.pth").pretrained
    assert torch.equal(next(iter(other.parameters())), next(iter(backbone.parameters())))
    assert f"has no use for them: {classifier}.weight, {classifier}.bias" in caplog.text


def test_backbone_file_of_another_network_is_refused(tmp_path):
    torch.save(network(name="deeplabv3_resnet18").pretrained.state_dict(), tmp_path / "imagenet.pth")
    with pytest.raises(CheckpointError, match=r"missing: net\.features\.0\.0\.weight"):
        build_network(NAME, 3, weights=tmp_path / "imagenet.pth")
