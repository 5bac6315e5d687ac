"""The training stage: what a run leaves, and that interruptions change nothing."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.distill.tiny_recipe import AFDCD, KD, NETWORK, tiny_config, tiny_values, write_recipe

from distill.networks import build_network
from distill.run import STATE_FILE, TrainingRun, load_student
from distill.train import train
from distill.weights import STUDENT_FILE, save_weights
from modelpack.errors import CheckpointError, GateError, SettingsError

WITH_TEACHER = {
    "teacher": {"network": NETWORK["network"], "options": NETWORK["options"], "min_miou": 0},
    "methods": [KD, AFDCD],
}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    return train(tiny_config(folder, seed=7)).folder


def distilled(output: Path, teacher: Path, **over: object) -> dict[str, object]:
    values = tiny_values(output, **WITH_TEACHER, **over)
    values["teacher"]["checkpoint"] = str(teacher)
    return values


def command(recipe: Path) -> list[str]:
    return [sys.executable, "-m", "distill", "train", str(recipe)]


def stop_at(recipe: Path, step: int, number: signal.Signals) -> subprocess.CompletedProcess[str]:
    """Start a training process and signal it once the state of `step` is on disk."""
    state = Path(json.loads(json.dumps(_output(recipe)))) / "train" / STATE_FILE
    process = subprocess.Popen(command(recipe), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if state.is_file() and torch.load(state, weights_only=True)["done"] >= step:
            process.send_signal(number)
            break
        time.sleep(0.005)
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def _output(recipe: Path) -> str:
    import yaml

    return str(yaml.safe_load(recipe.read_text())["output"])


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "train" / STUDENT_FILE)


def assert_same_bits(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_killed_and_resumed_ends_with_the_same_bits(tmp_path: Path, teacher: Path, workers: int):
    extra = {"optim": {"steps": 30, "ema": 0.9}, "evaluation": {"every": 10, "select_on": "last"}, "compute": {"workers": workers}}
    whole = write_recipe(tmp_path / "whole.yaml", distilled(tmp_path / "whole", teacher, **extra))
    broken = write_recipe(tmp_path / "broken.yaml", distilled(tmp_path / "broken", teacher, **extra))
    subprocess.run(command(whole), check=True, capture_output=True)
    assert stop_at(broken, 3, signal.SIGKILL).returncode == -signal.SIGKILL
    resumed = subprocess.run(command(broken), check=True, capture_output=True, text=True)
    assert "resuming" in resumed.stderr
    assert_same_bits(weights(tmp_path / "whole"), weights(tmp_path / "broken"))


def test_sigterm_saves_exits_with_1_and_says_how_to_go_on(tmp_path: Path):
    recipe = write_recipe(tmp_path / "r.yaml", tiny_values(tmp_path / "out", optim={"steps": 2000}))
    stopped = stop_at(recipe, 2, signal.SIGTERM)
    assert stopped.returncode == 1
    assert "the state is saved. The same command goes on from here." in stopped.stderr
    assert "Traceback" not in stopped.stderr


def test_the_student_file_holds_the_student_alone(tmp_path: Path, teacher: Path):
    from modelpack.settings import parse_settings

    from distill.config import TrainConfig

    run = train(parse_settings(TrainConfig, distilled(tmp_path, teacher), "test"))
    network = build_network(NETWORK["network"], run.labels.num_classes, options=NETWORK["options"])
    assert weights(tmp_path).keys() == network.state_dict().keys()


def test_the_result_names_the_split_of_selection_and_of_the_final_number(tmp_path: Path):
    run = train(tiny_config(tmp_path, evaluation={"select_on": "val", "report_on": "test"}))
    assert run.result["selection"]["split"] == "val"
    assert run.result["report"]["split"] == "test"
    assert run.result["report"]["images"] == 4


def test_a_run_leaves_table_and_pictures(tmp_path: Path):
    run = train(tiny_config(tmp_path))
    for name in ("results.csv", "results.png", "confusion.png", "overlays.png", "result.json", "settings.json"):
        assert (run.folder / name).stat().st_size > 0, name
    header = (run.folder / "results.csv").read_text().splitlines()[0].split(",")
    assert {"step", "miou", "pixel_accuracy", "loss/task", "weighted/task", "lr", "images_per_s"} <= set(header)


def test_a_finished_run_is_returned_as_it_is(tmp_path: Path):
    first = train(tiny_config(tmp_path))
    written = (first.folder / STUDENT_FILE).stat().st_mtime_ns
    assert train(tiny_config(tmp_path)).result == first.result
    assert (first.folder / STUDENT_FILE).stat().st_mtime_ns == written


def test_a_folder_with_another_run_is_refused_by_name_and_value(tmp_path: Path):
    train(tiny_config(tmp_path))
    with pytest.raises(SettingsError, match=r"holds a run with other settings \(optim.lr 0.01 there, 0.5 asked\)"):
        train(tiny_config(tmp_path, optim={"lr": 0.5}))


def test_a_teacher_near_chance_stops_the_run_before_the_first_step(tmp_path: Path):
    untrained = tmp_path / "untrained.safetensors"
    save_weights(build_network(NETWORK["network"], 11, options=NETWORK["options"]), untrained)
    teacher = {"network": NETWORK["network"], "options": NETWORK["options"], "checkpoint": str(untrained)}
    with pytest.raises(GateError, match=r"the teacher has mIoU .* below the .* that is worth learning from"):
        train(tiny_config(tmp_path, teacher=teacher, methods=[KD]))
    assert not (tmp_path / "train" / STATE_FILE).exists()


def test_an_unfinished_run_does_not_open(tmp_path: Path):
    with pytest.raises(CheckpointError, match="is no training run"):
        TrainingRun.open(tmp_path)


def test_the_opened_student_predicts_like_the_trained_one(tmp_path: Path):
    run = train(tiny_config(tmp_path))
    assert not load_student(run).training
    assert_same_bits(dict(load_student(run).state_dict()), weights(tmp_path))


def test_a_damaged_state_is_one_sentence(tmp_path: Path):
    from distill.checkpoint import load_state

    path = tmp_path / "state.pt"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match=r"state\.pt is damaged .* Remove it to start this run anew\."):
        load_state(path)


def test_a_loss_that_is_no_number_ends_the_run_with_a_way_out(tmp_path: Path):
    from distill.trainer import DivergedError

    with pytest.raises(DivergedError, match=r"no longer a number. Lower optim.lr"):
        train(tiny_config(tmp_path, optim={"lr": 1e30, "steps": 20}))


def test_methods_without_a_teacher_are_refused_before_training(tmp_path: Path):
    with pytest.raises(SettingsError, match="need a teacher; add a `teacher:` section"):
        tiny_config(tmp_path, methods=[KD])


def test_a_feature_that_the_network_lacks_is_refused_with_those_it_has(tmp_path: Path, teacher: Path):
    wrong = {**AFDCD, "student_feature": "stage9"}
    values = distilled(tmp_path, teacher) | {"methods": [wrong]}
    from modelpack.settings import parse_settings

    from distill.config import TrainConfig

    with pytest.raises(SettingsError, match=r"reads the student's feature stage9, which this network does not have"):
        train(parse_settings(TrainConfig, values, "test"))
