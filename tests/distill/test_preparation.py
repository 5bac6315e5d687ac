"""What methods learn from the teacher beforehand: once, kept, shared, resumed, and refused where wrong."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from distill.__main__ import app
from distill.compute import Compute
from distill.interrupt import TrainingInterruptedError
from distill.preparation.folder import WEIGHTS_FILE, describe, folder_of
from distill.preparation.learning import Learner
from distill.preparation.stage import prepare
from distill.run import RESULT_FILE, STATE_FILE, TrainingRun
from distill.train import train
from distill.weights import STUDENT_FILE
from modelpack.atomic import sha256_file
from modelpack.command import run
from modelpack.errors import CheckpointError, GateError, SettingsError
from tests.distill.folder_data import bands, change_masks, write_folder
from tests.distill.preparation_cases import KA, LEARNED, MASKD, STEPS, config, same_bits, values
from tests.distill.tiny_recipe import as_config, write_recipe


@pytest.fixture(scope="module")
def first(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    """A run that had to prepare both methods. Do not change its folder."""
    return train(config(tmp_path_factory.mktemp("prepared"), teacher))


def folders(finished: TrainingRun) -> dict[str, Path]:
    return {name: Path(entry["folder"]) for name, entry in finished.result["prepared"].items()}


def test_the_run_says_what_its_methods_had_learned(first: TrainingRun):
    assert folders(first).keys() == {"maskd", "ka"}
    for name, folder in folders(first).items():
        sha256 = sha256_file(folder / WEIGHTS_FILE)
        assert first.result["prepared"][name]["weights_sha256"] == sha256


@pytest.mark.parametrize(
    ("method", "terms"),
    [
        ("maskd", {"logits_task", "logits_overlap", "feature_task", "feature_overlap"}),
        ("ka", {"reconstruction", "sparsity"}),
    ],
)
def test_a_finished_preparation_keeps_settings_losses_and_the_teachers_hash(
    first: TrainingRun, teacher: Path, method: str, terms: set[str]
):
    folder = folders(first)[method]
    result = json.loads((folder / RESULT_FILE).read_text())
    assert result["settings"]["steps"] == STEPS
    assert result["teacher"]["weights_sha256"] == sha256_file(teacher / STUDENT_FILE)
    assert [row["step"] for row in result["losses"]] == list(range(1, STEPS + 1))
    assert result["losses"][0].keys() == {"step", "lr"} | terms
    assert result["weights_sha256"] == sha256_file(folder / WEIGHTS_FILE)
    assert not (folder / STATE_FILE).exists()


def test_reconstruction_gets_better(first: TrainingRun):
    losses = json.loads((folders(first)["ka"] / RESULT_FILE).read_text())["losses"]
    assert losses[-1]["reconstruction"] < losses[0]["reconstruction"]


def test_a_run_that_finds_them_ends_with_the_bits_of_the_one_that_learned_them(
    first: TrainingRun, teacher: Path
):
    again = train(config(first.config.output, teacher), first.folder.parent / "again")
    assert again.result["prepared"] == first.result["prepared"]
    assert same_bits(again.folder / STUDENT_FILE, first.folder / STUDENT_FILE)


def test_seeds_share_and_other_settings_or_teachers_do_not(first: TrainingRun, teacher: Path, tmp_path: Path):
    output = first.config.output
    assert prepare(config(output, teacher, KA, seed=5))["ka"] == first.result["prepared"]["ka"]
    other = KA | {"autoencoder": LEARNED | {"steps": 1, "width": 4}}
    assert prepare(config(output, teacher, other))["ka"]["folder"] != str(folders(first)["ka"])


def test_other_files_of_the_dataset_are_another_preparation(teacher: Path, tmp_path: Path):
    data = write_folder(tmp_path / "data").model_dump(mode="json")
    recipe = values(tmp_path, teacher, KA) | {"data": data}
    asked = as_config(recipe)
    plan, compute = asked.methods[0].preparation(), Compute.choose(asked.compute)
    before = describe(asked, "ka", plan, STEPS, compute)
    assert describe(asked, "ka", plan, STEPS, compute) == before
    change_masks(tmp_path / "data", "train", bands(2, 1, 0))
    assert folder_of(asked, describe(asked, "ka", plan, STEPS, compute)) != folder_of(asked, before)


def test_one_pass_over_the_images_is_the_default(teacher: Path, tmp_path: Path):
    once = {"name": "ka", "autoencoder": {"batch": 5}}
    folder = Path(prepare(config(tmp_path, teacher, once))["ka"]["folder"])
    assert json.loads((folder / RESULT_FILE).read_text())["losses"][-1]["step"] == 3  # of 12 images


class PowerCutError(Exception):
    pass


@pytest.mark.parametrize("method", ["maskd", "ka"])
def test_a_preparation_that_was_stopped_goes_on_to_the_same_bits(
    first: TrainingRun, teacher: Path, tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
):
    asked = config(tmp_path, teacher, {"maskd": MASKD, "ka": KA}[method], compute={"save_every": 2})
    lesson = Learner._lesson

    def cut(learner: Learner, batch: Any) -> Any:
        if learner.done == 3:
            raise PowerCutError
        return lesson(learner, batch)

    monkeypatch.setattr(Learner, "_lesson", cut)
    with pytest.raises(PowerCutError):
        prepare(asked)
    monkeypatch.setattr(Learner, "_lesson", lesson)
    state = next(tmp_path.rglob(STATE_FILE))
    assert torch.load(state, weights_only=True)["done"] == 2
    folder = Path(prepare(asked)[method]["folder"])
    assert same_bits(folder / WEIGHTS_FILE, folders(first)[method] / WEIGHTS_FILE)
    losses = [
        json.loads((place / RESULT_FILE).read_text())["losses"] for place in (folder, folders(first)[method])
    ]
    assert losses[0] == losses[1]


def test_sigterm_saves_and_says_how_to_go_on(teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    add_row = Learner._add_row

    def signalled(learner: Learner, *given: Any) -> None:
        add_row(learner, *given)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Learner, "_add_row", signalled)
    with pytest.raises(
        TrainingInterruptedError, match="stopped preparing after step 1 of 6; the state is saved"
    ):
        prepare(config(tmp_path, teacher, KA))
    assert torch.load(next(tmp_path.rglob(STATE_FILE)), weights_only=True)["done"] == 1


def test_a_weak_teacher_is_refused_before_anything_is_learned(teacher: Path, tmp_path: Path):
    asked = config(tmp_path, teacher, KA)
    demanding = asked.teacher.model_copy(update={"min_miou": 99})
    with pytest.raises(GateError, match="the teacher has mIoU"):
        prepare(asked.model_copy(update={"teacher": demanding}))
    assert list(tmp_path.rglob(STATE_FILE)) == []


def test_a_feature_that_the_student_lacks_is_refused_before_anything_is_learned(
    teacher: Path, tmp_path: Path
):
    with pytest.raises(SettingsError, match="method ka reads the student's feature stage9"):
        train(config(tmp_path, teacher, KA | {"student_feature": "stage9"}))
    assert not (tmp_path / "prepared").exists()


def test_a_finished_one_is_taken_by_its_folder(first: TrainingRun, teacher: Path, tmp_path: Path):
    folder = folders(first)["maskd"]
    used = prepare(config(tmp_path, teacher, MASKD | {"tokens_from": str(folder)}))
    assert used["maskd"] == first.result["prepared"]["maskd"]
    assert not (tmp_path / "prepared").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"method": "ka"}, "was learned for another method"),
        ({"teacher": {"network": "other"}}, "was learned for another teacher"),
        ({"reads": ["logits"]}, r"was learned for another map of the teacher \(\['logits'\]"),
    ],
)
def test_one_that_was_learned_for_something_else_is_refused(
    first: TrainingRun, teacher: Path, tmp_path: Path, change: dict[str, Any], sentence: str
):
    folder = shutil.copytree(folders(first)["maskd"], tmp_path / "copy")
    settings = json.loads((folder / "settings.json").read_text())
    (folder / "settings.json").write_text(json.dumps(settings | change))
    with pytest.raises(CheckpointError, match=sentence):
        prepare(config(tmp_path, teacher, MASKD | {"tokens_from": str(folder)}))


@pytest.mark.parametrize(
    ("file", "sentence"),
    [(RESULT_FILE, "holds no finished preparation"), (WEIGHTS_FILE, "is missing or damaged")],
)
def test_one_that_is_not_whole_is_refused(
    first: TrainingRun, teacher: Path, tmp_path: Path, file: str, sentence: str
):
    folder = shutil.copytree(folders(first)["maskd"], tmp_path / "copy")
    (folder / file).unlink()
    with pytest.raises(CheckpointError, match=sentence):
        prepare(config(tmp_path, teacher, MASKD | {"tokens_from": str(folder)}))


def test_the_verb_prepares_the_methods_of_a_comparison_too(
    first: TrainingRun, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    recipe = values(first.config.output, teacher, MASKD) | {
        "compare": {"variants": {"alone": [], "ka": [KA]}, "seeds": [0]}
    }
    assert (
        run(app, ["prepare", str(write_recipe(tmp_path / "recipe.yaml", recipe)), "--json"], "afdcd distill")
        == 0
    )
    told = json.loads(capsys.readouterr().out.splitlines()[-1])["prepared"]
    assert told == {entry["folder"]: entry["weights_sha256"] for entry in first.result["prepared"].values()}


def test_the_verb_says_where_there_is_nothing_to_prepare(
    teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    recipe = write_recipe(tmp_path / "recipe.yaml", values(tmp_path, teacher, {"name": "kd"}))
    assert run(app, ["prepare", str(recipe)], "afdcd distill") == 0
    assert "nothing to prepare" in capsys.readouterr().out
