"""`afdcd distill analyse` on tiny runs: a copy of the teacher is told from a student that knows nothing."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from distill.__main__ import app
from distill.analysis.analyse import AnalyseOptions, analyse, read_analysis
from distill.analysis.runs import open_runs
from distill.analysis.subjects import subjects_of
from distill.assemble import assemble
from distill.compute import Compute
from distill.distributed import Processes
from distill.run import TrainingRun
from distill.train import train
from distill.weights import STUDENT_FILE
from modelpack.command import run
from modelpack.errors import CheckpointError, SettingsError
from tests.distill.tiny_recipe import AFDCD, KD, NETWORK, as_config, taught_values

OPTIONS = AnalyseOptions(images=2, window=3, shown=1)
ROUNDING = 1e-5
"""float32 features; sums over positions are float64."""
RIDGED = 1e-3
"""What the ridge of the linear map leaves of a perfect fit."""


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, teacher: Path) -> Path:
    """Output of a comparison with three finished runs; `copy` has the teacher's weights. Do not change it."""
    output = tmp_path_factory.mktemp("analysed")
    values = taught_values(output, teacher, optim={"steps": 1})
    folder = output / "compare"
    train(as_config(values | {"methods": []}), folder / "alone-seed0")
    train(as_config(values | {"methods": [KD, AFDCD]}), folder / "afdcd-seed0")
    shutil.copytree(folder / "afdcd-seed0", folder / "copy-seed0")
    shutil.copy(teacher / STUDENT_FILE, folder / "copy-seed0" / STUDENT_FILE)
    return output


@pytest.fixture(scope="module")
def analysed(compared: Path) -> Path:
    return analyse([compared], options=OPTIONS)


@pytest.fixture(scope="module")
def result(analysed: Path) -> dict[str, Any]:
    return read_analysis(analysed)


def student(result: dict[str, Any], row: str) -> dict[str, Any]:
    return next(entry for entry in result["students"] if entry["row"] == row)


def test_a_copy_of_the_teacher_has_its_features_and_its_answers(result: dict[str, Any]):
    copy = student(result, "copy")
    for measured in copy["features"].values():
        assert measured["cka"] == pytest.approx(1, abs=ROUNDING)
        assert measured["cka_debiased"] == pytest.approx(1, abs=ROUNDING)
        assert measured["self_similarity_distance"] == pytest.approx(0, abs=ROUNDING)
    assert copy["features"]["head"]["distance"] == pytest.approx(0, abs=RIDGED)
    assert copy["answers"]["kl"] == pytest.approx(0, abs=ROUNDING)
    assert copy["answers"]["agreement"] == 1
    assert set(copy["answers"]["agreement_per_class"].values()) <= {1.0, None}


def test_an_untrained_student_is_further_away_in_every_way(result: dict[str, Any]):
    before = student(result, "before (untrained)")
    head = before["features"]["head"]
    assert head["cka_debiased"] < 0.9
    assert head["distance"] > 10 * RIDGED
    assert head["self_similarity_distance"] > 0.01
    assert before["answers"]["kl"] > 0.01
    assert before["answers"]["agreement"] < 1


def test_rows_name_what_is_before_what_is_alone_and_what_is_distilled(result: dict[str, Any]):
    named = [(row["row"], row["state"]) for row in result["rows"]]
    assert named == [
        ("before (untrained)", "before"),
        ("alone", "after"),
        ("afdcd", "after"),
        ("copy", "after"),
    ]


def test_the_untrained_student_has_the_weights_that_training_began_with(compared: Path):
    runs = open_runs([compared], ())
    before = next(iter(subjects_of(runs, None))).load().state_dict()
    compute = Compute.choose(runs[0].config.compute)
    begun = assemble(runs[0].config, runs[0].labels.num_classes, compute, Processes()).step.student
    assert all((before[name] == tensor).all() for name, tensor in begun.state_dict().items())


def test_features_that_a_method_used_are_marked(result: dict[str, Any]):
    marked = {feature["name"]: feature["is_used"] for feature in result["features"]}
    assert marked == {"stage1": False, "stage2": False, "stage3": False, "stage4": False, "head": True}


def test_no_linear_map_is_fitted_to_fewer_positions_than_channels(result: dict[str, Any]):
    stage4 = student(result, "copy")["features"]["stage4"]
    assert stage4["positions_fitted"] < 368
    assert stage4["distance"] is None


def test_data_tables_and_pictures_are_written(analysed: Path):
    assert {file.name for file in analysed.iterdir()} == {
        "analysis.json",
        "analysis.md",
        "analysis.png",
        "features-head.png",
        "self-similarity-head.png",
    }


def test_the_table_holds_the_numbers_of_the_data(analysed: Path, result: dict[str, Any]):
    head = student(result, "afdcd")["features"]["head"]
    line = next(
        line for line in (analysed / "analysis.md").read_text().splitlines() if line.startswith("| afdcd |")
    )
    assert line.endswith(f"| {head['cka_debiased']:.3f} |")


def test_a_run_can_stand_for_the_beginning(compared: Path, tmp_path: Path):
    alone, copy = (compared / "compare" / f"{name}-seed0" for name in ("alone", "copy"))
    found = read_analysis(analyse([alone], options=OPTIONS, before=copy, output=tmp_path))
    assert [row["row"] for row in found["rows"]] == ["before (copy)", "alone"]
    assert student(found, "before (copy)")["answers"]["agreement"] == 1


def test_a_run_without_a_teacher_is_refused(trained: TrainingRun):
    with pytest.raises(SettingsError, match=r"was trained without a teacher, .* teacher.checkpoint=RUN"):
        analyse([trained.folder])


def test_a_teacher_that_is_named_makes_a_run_without_one_comparable(
    trained: TrainingRun, teacher: Path, tmp_path: Path
):
    named = ["teacher.network=" + NETWORK["network"], f"teacher.checkpoint={teacher}"]
    named.append("teacher.options=" + json.dumps(NETWORK["options"]))
    found = read_analysis(analyse([trained.folder], named, OPTIONS, output=tmp_path))
    assert [row["answers"]["agreement"][0] for row in found["rows"]][-1] == 1


def test_a_teacher_that_is_gone_is_named_in_one_sentence(compared: Path, tmp_path: Path):
    gone = f"teacher.checkpoint={tmp_path / 'gone.safetensors'}"
    with pytest.raises(CheckpointError, match=r"gone.safetensors, the teacher of .* is not there"):
        analyse([compared], [gone], OPTIONS)


def test_an_unfinished_run_of_a_comparison_is_left_out(compared: Path, tmp_path: Path):
    shutil.copytree(compared / "compare", tmp_path / "compare")
    (tmp_path / "compare" / "copy-seed0" / "result.json").unlink()
    assert [found.folder.name for found in open_runs([tmp_path], ())] == ["alone-seed0", "afdcd-seed0"]


def test_two_runs_of_one_name_are_refused(compared: Path):
    alone = compared / "compare" / "alone-seed0"
    with pytest.raises(SettingsError, match="would both be called alone"):
        open_runs([alone, alone], ())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--window", "4"], "the window of local self-similarity is odd and at least 3, got 4."),
        (["--images", "0"], "an analysis measures and shows at least one image, got 0 and 3."),
        (["seed=1"], "the report on 2 folders needs a place: --output FOLDER."),
    ],
)
def test_wrong_use_exits_2_with_one_sentence(
    compared: Path, options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
):
    folders = [str(compared)] if options[0] != "seed=1" else [str(compared), str(compared)]
    assert run(app, ["analyse", *folders, *options], "afdcd distill") == 2
    assert sentence in capsys.readouterr().err


def test_the_verb_shows_the_table_and_ends_with_json(
    compared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    alone = compared / "compare" / "alone-seed0"
    words = ["analyse", alone, "evaluation.size=[32, 64]", "--images", "1", "--output", tmp_path, "--json"]
    assert run(app, [str(word) for word in words], "afdcd distill") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "# What moved inside" in lines
    assert [row["row"] for row in json.loads(lines[-1])["rows"]] == ["before (untrained)", "alone"]
    assert "network input 32x64" in (tmp_path / "analysis.md").read_text()
