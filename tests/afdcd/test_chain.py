"""`afdcd run RECIPE`: from nothing to a report, through a kill; a second time nothing is done again."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from afdcd.chain import Recipe, run_chain, stages
from afdcd.commands import run_app
from modelpack.command import run
from modelpack.errors import SettingsError
from modelpack.package import ModelPackage
from tests.distill.tiny_recipe import KD, NETWORK, tiny_values, write_recipe

TIMEOUT_S = 240
STAGES = [
    "train teacher",
    "train alone, seed 0",
    "train kd, seed 0",
    "compare",
    "package student",
    "package teacher",
    "latency",
    "serve one image",
    "report",
]
RUN_AND_DIE = """
import os, signal
from afdcd.__main__ import main
from distill.trainer import Trainer

def take_step(trainer, number, batch, take_step=Trainer.take_step):
    if trainer.step.methods and number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    take_step(trainer, number, batch)

Trainer.take_step = take_step
main()
"""
"""Runs as `afdcd` does, and dies in the third step of the first student that has a teacher."""


def values(output: Path) -> dict[str, object]:
    return tiny_values(output, optim={"steps": 3}) | {
        "teacher": {**NETWORK, "min_miou": 0, "train": {"optim": {"steps": 4}}},
        "compare": {"variants": {"alone": [], "kd": [KD]}, "against": ["alone"], "seeds": [0]},
        "export": {"size": [48, 64], "samples": 1, "parity": {"min_agreement": 0.99}},
        "bench": {
            "boundaries": ["graph"],
            "batch_sizes": [1],
            "samples": 3,
            "rounds": 3,
            "threads": [1],
            "warm_up": {"window_runs": 1, "window_seconds": 0, "windows": 2, "tolerance": 10},
        },
    }


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a chain that was killed in the training of its second student and run again to its end."""
    folder = tmp_path_factory.mktemp("chain")
    path = write_recipe(folder / "recipe.yaml", values(folder / "out"))
    killed = subprocess.run(
        [sys.executable, "-c", RUN_AND_DIE, "run", str(path)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (folder / "out" / "report.html").exists()
    done = subprocess.run(
        [sys.executable, "-m", "afdcd", "run", str(path), "--json"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (folder / "stdout").write_text(done.stdout)
    (folder / "stderr").write_text(done.stderr)
    return path


@pytest.fixture(scope="module")
def output(recipe: Path) -> Path:
    return recipe.parent / "out"


def test_a_killed_chain_skips_what_was_done_and_resumes_what_was_not(recipe: Path, output: Path):
    log = (recipe.parent / "stderr").read_text()
    assert re.findall(r"\] (.*): done before, skipped", log) == STAGES[:2]
    assert f"resuming {output / 'compare' / 'kd-seed0'} after step 2" in log


def test_the_last_line_names_the_report(recipe: Path, output: Path):
    last = (recipe.parent / "stdout").read_text().splitlines()[-1]
    assert json.loads(last) == {"report": str(output / "report.html")}


def test_every_stage_is_recorded_as_finished(output: Path):
    entries = json.loads((output / "chain.json").read_text())
    assert {name: entry["status"] for name, entry in entries.items()} == dict.fromkeys(STAGES, "finished")


def test_both_packages_open_and_carry_their_run(output: Path):
    assert {path.name for path in output.glob("package*") if ModelPackage.open(path)} == {
        "package",
        "package-teacher",
    }


def test_the_report_is_one_file_with_numbers_pictures_and_the_request_to_try(output: Path):
    page = (output / "report.html").read_text()
    assert not re.findall(r'src="(?!data:)[^"]*"|href="https?:[^"]*"', page)
    assert page.count("data:image/png") >= 3
    comparison = json.loads((output / "compare" / "compare.json").read_text())
    for row in comparison["rows"]:
        assert f"{row['mean']:.2f}" in page
    assert "curl -F image=@photo.jpg" in page


def test_a_second_run_skips_every_stage(recipe: Path, output: Path, caplog: pytest.LogCaptureFixture):
    written = (output / "report.html").stat().st_mtime_ns
    with caplog.at_level("INFO"):
        assert run(run_app, [str(recipe)], "afdcd run") == 0
    assert re.findall(r"\] (.*): done before, skipped", caplog.text) == STAGES
    assert (output / "report.html").stat().st_mtime_ns == written


def test_stages_need_only_what_comes_before_them(tmp_path: Path):
    chain = stages(Recipe(values(tmp_path), "recipe"))
    names = [stage.name for stage in chain]
    assert names == STAGES
    for place, stage in enumerate(chain):
        assert set(stage.needs) <= set(names[:place])


def test_a_student_alone_does_not_wait_for_the_teacher(tmp_path: Path):
    needs = {stage.name: stage.needs for stage in stages(Recipe(values(tmp_path), "recipe"))}
    assert needs["train alone, seed 0"] == ()
    assert needs["train kd, seed 0"] == ("train teacher",)


def test_a_recipe_with_several_teachers_is_sent_to_compare(tmp_path: Path):
    section = {"compare": {"teachers": {"short": {}, "long": {}}}}
    with pytest.raises(SettingsError, match="Compare them: afdcd distill compare recipe"):
        run_chain(values(tmp_path) | section, "recipe")


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ({"export": {"variant": "cwd"}}, r"export takes variant 'cwd' of seed 0, .* \(variants alone, kd"),
        ({"export": {"sise": 3}}, r"recipe \(export\): unknown setting 'sise'. Did you mean 'size'\?"),
        ({"compare": {"seeds": []}}, r"seeds must name at least one seed"),
    ],
)
def test_a_mistake_in_a_late_section_is_told_before_the_first_stage(tmp_path: Path, section, sentence):
    with pytest.raises(SettingsError, match=sentence):
        Recipe(values(tmp_path) | section, "recipe")
