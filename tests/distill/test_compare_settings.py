"""A comparison under several settings: each variant under each of them, beside those of the same settings."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distill.compare import CompareConfig, compare, read_comparison
from distill.compare_report import render_markdown
from distill.config import TrainConfig
from distill.networks import NETWORKS
from modelpack.errors import SettingsError
from modelpack.recipe import merge, read_recipe, section, training_part
from modelpack.settings import parse_settings
from tests.distill.tiny_recipe import KD, tiny_values
from tests.export.tiny_run import BUILDERS

STUDENT_ALONE = {"student": {"normalisation": "caffe_bgr"}}
TEACHER_TOO = {"evaluation": {"size": [24, 32]}}
SETTINGS = {
    "variants": {"alone": [], "kd": [KD], "left out": None},
    "settings": {"bgr": STUDENT_ALONE, "half size": TEACHER_TOO},
    "seeds": [0],
}


def values(output: Path) -> dict[str, Any]:
    tiny = {"network": "tiny"}
    over = {"teacher": {**tiny, "min_miou": 0, "train": {"optim": {"lr": 0.02}}}, "optim": {"steps": 1}}
    return tiny_values(output, **over) | {"student": tiny}


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Do not change it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, "tiny", BUILDERS["tiny"])
        settings = parse_settings(CompareConfig, SETTINGS, "tiny")
        yield compare(values(tmp_path_factory.mktemp("settings")), settings, "tiny")


@pytest.fixture(scope="module")
def result(compared: Path) -> dict[str, Any]:
    return read_comparison(compared)


def test_each_variant_is_a_row_under_each_setting_but_for_those_that_are_dropped(result: dict[str, Any]):
    rows = [row["variant"] for row in result["rows"]]
    assert rows == ["alone, bgr", "kd, bgr", "alone, half size", "kd, half size"]


def test_each_run_has_its_own_settings_and_the_rest_of_the_recipe(compared: Path):
    runs = {
        name: json.loads((compared / f"kd, {name}-seed0/settings.json").read_text())
        for name in ("bgr", "half size")
    }
    assert {key for key in runs["bgr"] if runs["bgr"][key] != runs["half size"][key]} == {
        *("student", "evaluation", "teacher"),
    }
    assert runs["half size"]["evaluation"]["size"] == [24, 32]


def test_a_teacher_is_trained_again_only_where_the_setting_changes_its_training(compared: Path):
    assert {folder.name for folder in compared.parent.glob("teacher*")} == {"teacher", "teacher-half size"}


def test_rows_are_compared_with_those_under_the_same_settings(result: dict[str, Any]):
    mean = {row["variant"]: row["mean"] for row in result["rows"]}
    for setting in SETTINGS["settings"]:
        row = next(row for row in result["rows"] if row["variant"] == f"kd, {setting}")
        assert list(row["difference"]) == ["alone"]
        gained = mean[f"kd, {setting}"] - mean[f"alone, {setting}"]
        assert row["difference"]["alone"]["mean"] == pytest.approx(gained)
    assert [row["gain_per_class"] is None for row in result["rows"]] == [True, False, True, False]


def test_the_table_names_every_size_and_every_teacher(result: dict[str, Any]):
    text = render_markdown(result)
    assert "network input 48x64, 24x32)" in text or "network input native, 24x32)" in text
    assert "| teacher bgr (tiny) |" in text
    assert "| teacher half size (tiny) |" in text
    assert "| variant | mIoU | difference to alone | difference to kd | seeds |" in text


def test_rows_can_be_compared_with_one_of_them_under_all_settings():
    chosen = parse_settings(CompareConfig, {**SETTINGS, "against": ["alone, bgr"]}, "tiny").baselines
    rows = ["kd, bgr", "alone, half size", "kd, half size"]
    assert chosen == {"alone, bgr": dict.fromkeys(rows, "alone, bgr")}


def test_several_teachers_and_several_settings_at_once_are_refused():
    with pytest.raises(SettingsError, match="teachers and settings cannot both be given"):
        parse_settings(CompareConfig, {**SETTINGS, "teachers": {"a": {}}}, "tiny")


@pytest.mark.parametrize("name", ["compare-pretrained-camvid-cpu", "sweep-resolution-camvid-cpu"])
def test_what_the_shipped_recipes_lay_upon_themselves_is_understood(name: str):
    recipe = read_recipe(f"recipes/{name}.yaml", ["data.root=/camvid"])
    compared = parse_settings(CompareConfig, section(recipe, "compare"), name)
    assert len(compared.settings) == 3
    for over in compared.settings.values():
        settings = parse_settings(TrainConfig, merge(training_part(recipe), over), name)
        assert (settings.teacher is None) == (name == "compare-pretrained-camvid-cpu")
