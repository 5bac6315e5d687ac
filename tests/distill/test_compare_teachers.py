"""A comparison over several teachers: each variant with methods learns from each of them."""

from pathlib import Path
from typing import Any

import pytest

from distill.compare import CompareConfig, compare, read_comparison
from distill.compare_report import render_markdown
from modelpack.errors import SettingsError
from modelpack.settings import parse_settings
from tests.distill.tiny_recipe import KD, NETWORK, tiny_values

TEACHERS = {"2 steps": {"train": {"optim": {"steps": 2}}}, "3 steps": {"train": {"optim": {"steps": 3}}}}
SETTINGS = {"variants": {"alone": [], "kd": [KD]}, "teachers": TEACHERS, "seeds": [0]}


def values(output: Path, **teacher: Any) -> dict[str, Any]:
    section = {**NETWORK, "min_miou": 0, "train": {"optim": {"lr": 0.02}}, **teacher}
    return tiny_values(output, teacher=section, optim={"steps": 1})


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Do not change it."""
    return compare(
        values(tmp_path_factory.mktemp("teachers")), parse_settings(CompareConfig, SETTINGS, "tiny"), "tiny"
    )


def test_each_variant_with_methods_learns_from_each_teacher_and_alone_once(compared: Path):
    rows = [row["variant"] for row in read_comparison(compared)["rows"]]
    assert rows == ["alone", "kd, teacher 2 steps", "kd, teacher 3 steps"]


def test_the_teachers_are_trained_as_they_say(compared: Path):
    trained = {folder.name for folder in compared.parent.glob("teacher*")}
    assert trained == {"teacher-2 steps", "teacher-3 steps"}
    teachers = read_comparison(compared)["teachers"]
    assert teachers["2 steps"]["weights_sha256"] != teachers["3 steps"]["weights_sha256"]


def test_the_table_names_each_teacher_with_its_miou(compared: Path):
    result = read_comparison(compared)
    for name, teacher in result["teachers"].items():
        expected = f"| teacher {name} ({NETWORK['network']}) | {100 * teacher['miou']:.2f} |"
        assert expected in render_markdown(result)


def test_rows_can_be_compared_with_one_of_them():
    against = {**SETTINGS, "against": ["kd, teacher 2 steps"]}
    assert list(parse_settings(CompareConfig, against, "tiny").baselines) == ["kd, teacher 2 steps"]


def test_one_checkpoint_for_all_teachers_is_refused(tmp_path: Path):
    settings = parse_settings(CompareConfig, SETTINGS, "tiny")
    with pytest.raises(SettingsError, match=r"teacher.checkpoint is one teacher for all of compare.teachers"):
        compare(values(tmp_path, checkpoint=str(tmp_path)), settings, "tiny")
