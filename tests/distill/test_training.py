"""The training stage: what a run leaves, and what it refuses."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from distill.checkpoint import load_state
from distill.networks import build_network
from distill.run import STATE_FILE, TrainingRun, load_student
from distill.train import train
from distill.trainer import DivergedError
from distill.weights import STUDENT_FILE, save_weights
from modelpack.errors import CheckpointError, GateError, SettingsError
from tests.distill.tiny_recipe import AFDCD, KD, NETWORK, as_config, taught_values, tiny_config


def test_the_student_file_holds_the_student_alone(tmp_path: Path, teacher: Path):
    run = train(as_config(taught_values(tmp_path, teacher)))
    network = build_network(NETWORK["network"], run.labels.num_classes, options=NETWORK["options"])
    assert load_file(run.folder / STUDENT_FILE).keys() == network.state_dict().keys()


def test_the_result_names_the_split_of_selection_and_of_the_final_number(trained: TrainingRun):
    assert trained.result["selection"]["split"] == "val"
    assert trained.result["report"]["split"] == "test"
    assert trained.result["report"]["images"] == 4


def test_a_run_leaves_table_and_pictures(trained: TrainingRun):
    for name in ("results.png", "confusion.png", "overlays.png", "result.json", "settings.json"):
        assert (trained.folder / name).stat().st_size > 0, name
    assert list(trained.folder.glob("tensorboard/events.*"))
    columns = (trained.folder / "results.csv").read_text().splitlines()[0].split(",")
    named = {"step", "miou", "pixel_accuracy", "loss/task", "weighted/task", "lr", "images_per_s"}
    assert named | {f"iou/{name}" for name in trained.labels.names} <= set(columns)


def test_a_finished_run_is_returned_as_it_is(trained: TrainingRun):
    written = (trained.folder / STUDENT_FILE).stat().st_mtime_ns
    assert train(trained.config, trained.folder).result == trained.result
    assert (trained.folder / STUDENT_FILE).stat().st_mtime_ns == written


def test_a_folder_with_another_run_is_refused_by_name_and_value(trained: TrainingRun):
    other = trained.config.optim.model_copy(update={"lr": 0.5})
    sentence = r"holds a run with other settings \(optim\.lr 0\.01 there, 0\.5 asked\)"
    with pytest.raises(SettingsError, match=sentence):
        train(trained.config.model_copy(update={"optim": other}), trained.folder)


def test_the_opened_student_has_the_selected_weights_and_is_ready_to_predict(trained: TrainingRun):
    student, saved = load_student(trained), load_file(trained.folder / STUDENT_FILE)
    assert not student.training
    assert all(torch.equal(value, saved[name]) for name, value in student.state_dict().items())


def test_a_teacher_near_chance_stops_the_run_before_the_first_step(tmp_path: Path):
    untrained = tmp_path / "untrained.safetensors"
    save_weights(build_network(NETWORK["network"], 11, options=NETWORK["options"]), untrained)
    teacher = {**NETWORK, "checkpoint": str(untrained)}
    with pytest.raises(GateError, match=r"the teacher has mIoU .* below the .* that is worth learning from"):
        train(tiny_config(tmp_path, teacher=teacher, methods=[KD]))
    assert not (tmp_path / "train" / STATE_FILE).exists()


def test_an_unfinished_run_does_not_open(tmp_path: Path):
    with pytest.raises(CheckpointError, match="is no training run"):
        TrainingRun.open(tmp_path)


def test_a_damaged_state_is_one_sentence(tmp_path: Path):
    path = tmp_path / "state.pt"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match=r"state\.pt is damaged .* Remove it to start this run anew\."):
        load_state(path)


def test_a_loss_that_is_no_number_ends_the_run_with_a_way_out(tmp_path: Path):
    with pytest.raises(DivergedError, match=r"no longer a number\. Lower optim\.lr"):
        train(tiny_config(tmp_path, optim={"lr": 1e30, "steps": 20}))


def test_methods_without_a_teacher_are_refused_before_training(tmp_path: Path):
    with pytest.raises(SettingsError, match="need a teacher; add a `teacher:` section"):
        tiny_config(tmp_path, methods=[KD])


def test_a_feature_that_the_network_lacks_is_refused_with_those_it_has(tmp_path: Path, teacher: Path):
    wrong = {**AFDCD, "student_feature": "stage9"}
    config = as_config(taught_values(tmp_path, teacher, methods=[wrong]))
    with pytest.raises(SettingsError, match=r"the student's feature stage9, .* It has: .*head"):
        train(config)
