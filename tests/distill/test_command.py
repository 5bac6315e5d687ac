"""`afdcd distill VERB`: exit codes, sentences and the line of JSON."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.__main__ import app
from distill.run import TrainingRun
from modelpack.command import run
from tests.distill.folder_data import bands, change_masks, write_folder
from tests.distill.tiny_recipe import KD, NETWORK, tiny_values, write_recipe

GOLDEN = Path(__file__).parents[1] / "golden" / "kd_case1.npz"


def distill(*words: object) -> int:
    return run(app, [str(word) for word in words], "afdcd distill")


def last_json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return write_recipe(tmp_path / "recipe.yaml", tiny_values(tmp_path / "out"))


@pytest.fixture
def folder_recipe(tmp_path: Path) -> Path:
    write_folder(tmp_path / "data")
    values = tiny_values(tmp_path / "out") | {"data": {"name": "folder", "root": str(tmp_path / "data")}}
    return write_recipe(tmp_path / "folder.yaml", values)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["optim.stepz=3"], "unknown setting 'optim.stepz'. Did you mean 'optim.steps'?"),
        (
            ["methods=[{name: afdcdd}]"],
            "unknown method 'afdcdd'. Did you mean 'afdcd'? Available: adversarial, afdcd,",
        ),
        (["data.name=street"], "unknown dataset 'street'. Did you mean 'streets'?"),
        (["optim.steps=many"], "optim.steps = 'many': input should be a valid integer"),
        (["optim.steps"], "override 'optim.steps' is not KEY=VALUE"),
        (["student.network=nonet"], "unknown network 'nonet'"),
        (["--teacher"], "no `teacher.train` section says how to train a teacher"),
    ],
)
def test_wrong_use_exits_2_with_one_sentence(
    recipe: Path, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
):
    assert distill("train", recipe, *words) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")
    assert sentence in last


def test_a_missing_recipe_exits_2_and_says_where_recipes_are(capsys: pytest.CaptureFixture[str]):
    assert distill("train", "nowhere.yaml") == 2
    sentence = "error: recipe nowhere.yaml does not exist. The ones that ship are in recipes/."
    assert capsys.readouterr().err.splitlines()[-1] == sentence


@pytest.mark.parametrize("verb", ["train", "doctor", "compare"])
def test_data_that_are_not_there_exit_1_and_name_the_setting(
    recipe: Path, verb: str, capsys: pytest.CaptureFixture[str]
):
    assert distill(verb, recipe, "data={name: camvid}") == 1
    captured = capsys.readouterr()
    assert "data.root" in captured.out + captured.err
    assert "Traceback" not in captured.err


def test_train_ends_with_the_run_and_its_report_as_json(recipe: Path, capsys: pytest.CaptureFixture[str]):
    assert distill("train", recipe, "optim.steps=1", "--json") == 0
    result = last_json(capsys)
    opened = TrainingRun.open(Path(result["run"]))
    assert opened.config.optim.steps == 1
    assert result["report"] == opened.result["report"]


def test_evaluate_measures_a_split_under_the_settings_of_the_run(
    trained: TrainingRun, capsys: pytest.CaptureFixture[str]
):
    assert distill("evaluate", trained.folder, "data.test=2", "--split", "test", "--json") == 0
    result = last_json(capsys)
    assert (result["split"], result["images"]) == ("test", 2)
    assert distill("evaluate", trained.folder, "--split", "test", "--json") == 0
    assert last_json(capsys)["miou"] == pytest.approx(trained.result["report"]["miou"])


def test_evaluate_of_an_unfinished_run_exits_1(trained: TrainingRun, tmp_path: Path, capsys):
    half = shutil.copytree(trained.folder, tmp_path / "half")
    (half / "result.json").unlink()
    assert distill("evaluate", half) == 1
    assert "is not finished. Start its command again: it resumes." in capsys.readouterr().err


def test_doctor_of_a_sound_folder_exits_0(folder_recipe: Path, capsys: pytest.CaptureFixture[str]):
    assert distill("doctor", folder_recipe, "--json") == 0
    assert last_json(capsys)["errors"] == 0


@pytest.mark.parametrize("verb", ["doctor", "train"])
def test_a_broken_folder_exits_1_and_is_named(
    folder_recipe: Path, tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]
):
    change_masks(tmp_path / "data", "train", bands(0, 1, 7))
    assert distill(verb, folder_recipe) == 1
    captured = capsys.readouterr()
    assert "7" in captured.out + captured.err
    assert captured.err.splitlines()[-1].startswith("error: ")


def test_compare_prints_the_table_and_ends_with_its_rows_as_json(
    tmp_path: Path, trained: TrainingRun, capsys: pytest.CaptureFixture[str]
):
    teacher = {**NETWORK, "min_miou": 0, "checkpoint": str(trained.folder)}
    values = tiny_values(tmp_path, teacher=teacher, optim={"steps": 1})
    values["compare"] = {"variants": {"alone": [], "kd": [KD]}, "against": ["alone"], "seeds": [0]}
    assert distill("compare", write_recipe(tmp_path / "recipe.yaml", values), "--json") == 0
    printed = capsys.readouterr().out.splitlines()
    assert "| variant | mIoU | difference to alone | seeds |" in printed
    assert [row["variant"] for row in json.loads(printed[-1])["rows"]] == ["alone", "kd"]


def test_replay_of_a_right_file_exits_0(capsys: pytest.CaptureFixture[str]):
    assert distill("replay", GOLDEN, "--json") == 0
    assert last_json(capsys)["ok"] is True


def test_replay_of_a_damaged_file_exits_1_and_says_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with np.load(GOLDEN) as file:
        arrays = dict(file)
    loss = next(name for name in arrays if "loss" in name)
    arrays[loss] = arrays[loss] * 1.01
    np.savez(tmp_path / GOLDEN.name, **arrays)
    assert distill("replay", tmp_path / GOLDEN.name) == 1
    assert "FAIL" in capsys.readouterr().out


@pytest.mark.parametrize(("table", "entry"), [("methods", "afdcd"), ("datasets", "folder")])
def test_list_names_what_a_recipe_may_name(table: str, entry: str, capsys: pytest.CaptureFixture[str]):
    assert distill("list", table) == 0
    assert entry in capsys.readouterr().out.split()


def test_list_of_an_unknown_table_exits_2(capsys: pytest.CaptureFixture[str]):
    assert distill("list", "method") == 2
    assert "unknown table 'method'. Did you mean 'methods'?" in capsys.readouterr().err
