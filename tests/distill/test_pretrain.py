"""Pre-training without labels: resumed exactly, a start for a student, refused where it makes no sense."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from distill.__main__ import app
from distill.assemble import build_student
from distill.networks import build_network
from distill.networks.output import normalise
from distill.pretrain.config import PretrainConfig, PretrainTeacherConfig, pretrain_config
from distill.pretrain.stage import pretrain
from distill.pretrain.teacher import build_teacher
from distill.train import train
from distill.weights import BACKBONE_FILE, load_weights
from modelpack.command import run
from modelpack.errors import CheckpointError, SettingsError, UnknownNameError
from modelpack.recipe import read_recipe
from tests.distill.tiny_recipe import NETWORK, tiny_config, tiny_values, write_recipe

TIMEOUT_S = 120
STEPS, SAVE_EVERY, KILLED_IN_STEP = 6, 2, 3

PRETRAIN_AND_DIE = f"""
import os, signal
from distill.__main__ import main
from distill.pretrain.trainer import PretrainTrainer

def take_step(trainer, number, batch, take_step=PretrainTrainer.take_step):
    take_step(trainer, number, batch)
    if number == {KILLED_IN_STEP}:
        os.kill(os.getpid(), signal.SIGKILL)

PretrainTrainer.take_step = take_step
main()
"""
"""Pre-trains as `python -m distill` does, and dies after that step, before it is saved."""


def values(output: Path, teacher: Path, /, **over: Any) -> dict[str, Any]:
    section = {
        "teacher": {"run": str(teacher), "feature": "stage3"},
        "feature": "stage3",
        "views": {"size": [32, 64]},
        "queue": 10,
        "hidden": 16,
        "optim": {"batch": 4, "steps": STEPS, "warmup_steps": 1},
        **over,
    }
    return {**tiny_values(output, compute={"save_every": SAVE_EVERY}), "pretrain": section}


def config(output: Path, teacher: Path, /, **over: Any) -> PretrainConfig:
    return pretrain_config(values(output, teacher, **over), "tiny")


@pytest.fixture(scope="module")
def finished(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretrain(config(tmp_path_factory.mktemp("pretrained"), teacher))


def test_a_run_killed_after_a_step_and_resumed_ends_with_the_same_bits(
    tmp_path: Path, teacher: Path, finished: Path
):
    recipe = write_recipe(tmp_path / "recipe.yaml", values(tmp_path, teacher))
    done = subprocess.run(
        [sys.executable, "-c", PRETRAIN_AND_DIE, "pretrain", str(recipe)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    resumed = pretrain(config(tmp_path, teacher))
    ours, theirs = load_file(resumed / BACKBONE_FILE), load_file(finished / BACKBONE_FILE)
    assert [name for name in theirs if not torch.equal(ours[name], theirs[name])] == []
    tables = [(folder / "results.csv").read_text().splitlines()[1:] for folder in (resumed, finished)]
    rows = [[line.split(",")[:3] for line in lines] for lines in tables]
    assert rows[0] == rows[1]


def test_only_the_backbone_is_kept_and_it_has_learned(finished: Path):
    torch.manual_seed(0)
    noise = build_network(NETWORK["network"], 2, options=NETWORK["options"]).backbone_part()
    state = load_file(finished / BACKBONE_FILE)
    assert state.keys() == noise.state_dict().keys()
    first = "model.stem.conv.weight"
    assert not torch.equal(state[first], noise.state_dict()[first])


@pytest.mark.parametrize("inner", ["", BACKBONE_FILE])
def test_it_starts_a_student_whose_head_is_noise(finished: Path, tmp_path: Path, inner: str, caplog):
    path = finished / inner if inner else finished
    with caplog.at_level("INFO"):
        student = build_student(tiny_config(tmp_path, student={"init": str(path)}), 11)
    pretrained = load_file(finished / BACKBONE_FILE)
    own = student.backbone_part().state_dict()
    assert all(torch.equal(own[name], value) for name, value in pretrained.items())
    assert "a pre-trained backbone" in caplog.text


def test_a_training_started_from_it_notes_where_it_came_from(finished: Path, tmp_path: Path):
    run = train(tiny_config(tmp_path, student={"init": str(finished)}, optim={"steps": 1}))
    start = run.result["started_from"]
    assert (start["path"], start["network"]) == (str(finished), NETWORK["network"])
    assert start["report"] is None


def test_a_backbone_is_no_whole_network(finished: Path):
    network = build_network(NETWORK["network"], 11, options=NETWORK["options"])
    with pytest.raises(CheckpointError, match=r"of a backbone alone.*student\.init=FOLDER"):
        load_weights(network, finished)


def test_a_backbone_of_another_network_is_refused(finished: Path, tmp_path: Path):
    other = tiny_config(tmp_path, student={"network": "smp:FPN/resnet18", "init": str(finished)})
    with pytest.raises(CheckpointError, match="are not those of this network"):
        build_student(other, 11)


def test_partners_by_place_learn_too_and_any_folder_of_images_will_do(tmp_path: Path, teacher: Path):
    for index in range(4):
        noise = np.random.default_rng(index).integers(0, 256, (70, 90 + index, 3), np.uint8)
        (tmp_path / "images" / "sub").mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise).save(tmp_path / "images" / "sub" / f"{index}.png")
    data = {"name": "images", "root": str(tmp_path / "images")}
    optim = {"batch": 4, "steps": 2, "warmup_steps": 1, "name": "adamw", "lr": 0.01}
    folder = pretrain(config(tmp_path, teacher, data=data, pairing="place", optim=optim))
    result = json.loads((folder / "result.json").read_text())
    assert (result["dataset"], result["images"]) == ("images", 4)
    assert result["loss"] > 0


def test_the_command_ends_with_how_to_go_on(finished: Path, teacher: Path, tmp_path: Path, capsys):
    recipe = write_recipe(tmp_path / "recipe.yaml", values(finished.parent, teacher))
    assert run(app, ["pretrain", str(recipe)], "afdcd distill") == 0
    assert f"student.init={finished}" in capsys.readouterr().out


def test_other_settings_in_the_same_folder_are_refused(finished: Path, teacher: Path):
    with pytest.raises(SettingsError, match=r"other settings \(teacher\.feature"):
        pretrain(config(finished.parent, teacher, teacher={"run": str(teacher), "feature": "stage4"}))


@pytest.mark.parametrize(
    ("over", "sentence"),
    [
        ({"teacher": {}}, "give one of them"),
        ({"teacher": {"network": "timm:resnet10t"}}, "a teacher without weights knows nothing"),
        ({"queue": 3}, r"queue \(3\) must hold a batch \(4\)"),
        ({"pairing": "grud"}, "pairing"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path: Path, teacher: Path, over, sentence: str):
    with pytest.raises(SettingsError, match=sentence):
        config(tmp_path, teacher, **over)


def test_what_the_networks_cannot_do_is_refused_before_the_first_step(tmp_path: Path, teacher: Path):
    with pytest.raises(SettingsError, match=r"padded to 64x64.*pretrain\.views\.size=\[64,64\]"):
        pretrain(config(tmp_path / "a", teacher, views={"size": [48, 48]}))
    with pytest.raises(UnknownNameError, match="feature of the student's backbone 'head'"):
        pretrain(config(tmp_path / "b", teacher, feature="head"))


def test_a_checkpoint_of_self_supervision_becomes_a_teacher_with_a_head_for_maps(tmp_path: Path):
    torch.manual_seed(0)
    backbone = timm.create_model("resnet10t", num_classes=0)
    head = nn.Sequential(nn.Linear(512, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 6))
    names = {f"encoder_k.{name}": value for name, value in backbone.state_dict().items()}
    names |= {f"encoder_k.fc.{name}": value for name, value in head.state_dict().items()}
    torch.save({"state_dict": names}, tmp_path / "moco.pth")
    settings = PretrainTeacherConfig(
        network="timm:resnet10t", weights=tmp_path / "moco.pth", prefix="encoder_k.", head="encoder_k.fc"
    )
    teacher = build_teacher(settings, (64, 64)).train()
    images = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    maps = teacher(images)
    assert maps.shape == (2, 6, 2, 2)
    assert teacher.width == 6
    with torch.no_grad():
        vector = head.eval()(backbone.eval()(normalise(images, teacher.normalisation)))
    torch.testing.assert_close(maps.mean((2, 3)), vector, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pretrain-streets", []),
        ("pretrain-images", ["pretrain.data.root=/images", "data.root=/labelled"]),
    ],
)
def test_the_shipped_recipes_are_understood(name: str, words: list[str]):
    settings = pretrain_config(read_recipe(f"recipes/{name}.yaml", words), name)
    assert settings.output == Path("runs") / name
    assert settings.data.name == ("images" if words else "streets")
