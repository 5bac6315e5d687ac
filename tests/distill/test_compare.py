"""A comparison trains what is missing, under one recipe, and says how far apart the variants are."""

import json
from pathlib import Path
from typing import Any

import pytest

from distill.compare import CompareConfig, compare
from distill.compare_report import render_markdown
from distill.weights import STUDENT_FILE
from modelpack.errors import SettingsError
from modelpack.settings import parse_settings
from tests.distill.tiny_recipe import KD, NETWORK, tiny_values

SETTINGS = CompareConfig(variants={"alone": [], "kd": [KD]}, against=("alone",), seeds=(0, 1))


def values(output: Path) -> dict[str, Any]:
    teacher = {**NETWORK, "min_miou": 0, "train": {"optim": {"steps": 3}}}
    return tiny_values(output, teacher=teacher, optim={"steps": 2})


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Do not change it."""
    return compare(values(tmp_path_factory.mktemp("compared")), SETTINGS, "tiny")


@pytest.fixture(scope="module")
def result(compared: Path) -> dict[str, Any]:
    return json.loads((compared / "compare.json").read_text())


def test_data_table_and_picture_are_written(compared: Path):
    assert {file.name for file in compared.glob("compare.*")} == {
        "compare.json",
        "compare.md",
        "compare.png",
    }


def test_a_second_call_trains_nothing(compared: Path):
    students = sorted(compared.parent.rglob(STUDENT_FILE))
    written = [path.stat().st_mtime_ns for path in students]
    assert compare(values(compared.parent), SETTINGS, "tiny") == compared
    assert len(students) == 5
    assert [path.stat().st_mtime_ns for path in students] == written


def test_each_variant_has_one_number_per_seed_and_the_interval_of_its_difference(result: dict[str, Any]):
    alone, kd = result["rows"]
    assert [len(row["miou_percent"]) for row in (alone, kd)] == [2, 2]
    assert alone["difference"] == {}
    won = kd["difference"]["alone"]
    assert won["low"] <= won["mean"] <= won["high"]
    assert won["mean"] == pytest.approx(kd["mean"] - alone["mean"])


def test_the_table_tells_of_int8_and_of_what_all_runs_started_from(result: dict[str, Any]):
    start = {"network": "smp:FPN/x", "report": {"miou": 0.3262, "split": "test"}}
    student = {**result["student"], "quantisation": {"calibrator": "mse"}, "started_from": start}
    text = render_markdown({**result, "student": student})
    assert "M parameters) with int8 weights and activations, 2 steps" in text
    assert "| start (smp:FPN/x) | 32.62 on test |" in text


def test_the_table_shows_difference_interval_and_teacher(compared: Path, result: dict[str, Any]):
    text = (compared / "compare.md").read_text()
    won = result["rows"][1]["difference"]["alone"]
    assert f"{won['mean']:+.2f} [{won['low']:+.2f}, {won['high']:+.2f}]" in text
    assert f"| teacher ({NETWORK['network']}) | {100 * result['teacher']['miou']:.2f} |" in text


def test_gains_per_class_are_over_the_first_that_all_are_compared_with(
    compared: Path, result: dict[str, Any]
):
    alone, kd = result["rows"]
    assert alone["gain_per_class"] is None
    for name, gain in kd["gain_per_class"].items():
        ours, theirs = kd["iou_per_class"][name], alone["iou_per_class"][name]
        assert gain == (None if None in (ours, theirs) else ours - theirs)
        shown = "absent" if gain is None else f"{gain:+.1f}"
        assert f"| {name} | {shown} |" in (compared / "compare.md").read_text()


def test_without_being_asked_no_cost_is_measured(compared: Path, result: dict[str, Any]):
    assert result["cost"] is None
    assert not (compared / "cost.json").exists()


def test_variants_of_one_seed_differ_in_their_methods_alone(compared: Path):
    alone, kd = (
        json.loads((compared / f"{name}-seed0/settings.json").read_text()) for name in ("alone", "kd")
    )
    assert {key for key in alone if alone[key] != kd[key]} == {"methods"}


def test_a_comparison_with_a_variant_that_is_not_there_is_refused():
    with pytest.raises(SettingsError, match="against names cwd, which is no variant; there are alone, kd"):
        parse_settings(CompareConfig, {"variants": {"alone": [], "kd": []}, "against": ["cwd"]}, "recipe")
