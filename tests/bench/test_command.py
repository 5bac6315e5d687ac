"""`afdcd bench latency` from the command line: what it takes, what it leaves, how it fails."""

import io
import json
import shutil
import subprocess
import sys
from contextlib import redirect_stdout

import pytest
import yaml

from bench.__main__ import app
from bench.commands.latency import read_subjects
from bench.config import BenchConfig
from bench.result import BenchResult
from modelpack.command import run

QUICK = [
    "runtimes=[paced]", "batch_sizes=[1]", "boundaries=[graph]", "samples=4", "rounds=4",
    "warm_up={window_runs: 1, window_seconds: 0, windows: 2, tolerance: 10, min_seconds: 0}",
]  # fmt: skip


def latency(*args):
    return run(app, ["latency", *map(str, args)], "afdcd bench")


@pytest.fixture(scope="module")
def done(packages, tmp_path_factory):
    """(exit code, folder of the results, lines on stdout) of one run."""
    folder, stdout = tmp_path_factory.mktemp("done"), io.StringIO()
    with redirect_stdout(stdout):
        code = latency(packages["slow"], packages["fast"], *QUICK, "seed=7", "--out", folder, "--json")
    return code, folder, stdout.getvalue().splitlines()


def test_packages_are_measured_in_the_order_given(done):
    code, folder, _ = done
    assert code == 0
    assert [session.name for session in BenchResult.read(folder / "latency.json").sessions] == [
        "slow",
        "fast",
    ]


def test_settings_result_and_reports_lie_beside_each_other(done):
    names = {"settings.json", "latency.json", "latency.md", "latency.html"}
    assert {file.name for file in done[1].iterdir()} == names


def test_the_table_is_printed_first_and_one_line_of_json_last(done):
    _, folder, printed = done
    assert printed[0].startswith("| session | boundary | batch |")
    summary = json.loads(printed[-1])
    assert summary["result"] == str(folder / "latency.json")
    assert [case["session"] for case in summary["cases"]] == ["slow", "fast"]
    assert summary["cases"][0]["p99_ms"] is None


def test_settings_are_written_fully_resolved(done):
    settings = BenchConfig.model_validate_json((done[1] / "settings.json").read_text())
    assert settings == BenchResult.read(done[1] / "latency.json").settings
    assert (settings.seed, settings.samples, settings.settle_runs) == (7, 4, 2)


@pytest.fixture
def recipe(packages, tmp_path):
    output = tmp_path / "output"
    shutil.copytree(packages["slow"], output / "package-teacher")
    shutil.copytree(packages["fast"], output / "package")
    file = tmp_path / "recipe.yaml"
    bench = {key: yaml.safe_load(value) for key, _, value in (setting.partition("=") for setting in QUICK)}
    file.write_text(json.dumps({"name": "demo", "output": str(output), "seed": 3, "bench": bench}))
    return file


def test_a_recipe_measures_its_student_against_its_teacher_below_its_output(recipe):
    assert latency(recipe, "bench.samples=5") == 0
    result = BenchResult.read(recipe.parent / "output" / "bench" / "latency.json")
    assert [(session.name, session.package_name) for session in result.sessions] == [
        ("teacher", "slow"),
        ("student", "fast"),
    ]
    assert result.cases[0].samples == 5


def test_a_recipe_without_a_teacher_package_measures_the_student_alone(recipe):
    shutil.rmtree(recipe.parent / "output" / "package-teacher")
    config, _ = read_subjects([str(recipe)])
    assert list(config.packages) == ["student"]


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["{recipe}", "samples=5"], "in a recipe this setting is bench.samples=5"),
        (["{recipe}", "bench.sample=5"], "Did you mean 'samples'"),
        (["{recipe}", "output=elsewhere"], "there is no package in elsewhere"),
        (["{recipe}", "{slow}"], "either package folders or one recipe"),
        (["samples=5"], "either package folders or one recipe"),
        (["{slow}", "{slow}"], "a package is named twice"),
        (["{slow}", "rounds=9", "samples=5"], "samples (5) must be at least rounds (9)"),
        (["{slow}", "batch_sizes=[1,1]"], "batch_sizes [1, 1] holds a value twice"),
        (["{slow}", "artifacts=[]"], "artifacts is empty"),
        (["missing.yaml"], "recipe missing.yaml does not exist"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_2(args, sentence, recipe, packages, capsys):
    places = {"recipe": recipe, "slow": packages["slow"]}
    assert latency(*(arg.format(**places) for arg in args)) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert errors[-1].startswith("error: ")
    assert sentence in errors[-1]


def test_a_damaged_package_is_exit_code_1(packages, tmp_path, capsys):
    shutil.copytree(packages["fast"], tmp_path / "damaged")
    (tmp_path / "damaged" / "model.fp32.onnx").write_bytes(b"")
    assert latency(tmp_path / "damaged", *QUICK) == 1
    assert "model.fp32.onnx is damaged" in capsys.readouterr().err


def test_a_dead_worker_is_exit_code_1_and_leaves_no_result(packages, tmp_path, capsys):
    out = tmp_path / "out"
    assert latency(packages["fast"], *QUICK, "runtimes=[dying]", "--out", out) == 1
    assert "the worker process ended with exit code 3" in capsys.readouterr().err
    assert not out.exists()


def test_packages_of_the_same_name_are_told_apart_by_their_folders(tmp_path):
    config, folder = read_subjects([str(tmp_path / run_name / "package") for run_name in ("first", "second")])
    assert list(config.packages) == ["first/package", "second/package"]
    assert folder == tmp_path / "first" / "bench"


def test_bench_needs_neither_torch_nor_another_stage():
    probe = (
        "import sys, bench.__main__, bench.worker; print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert not {"torch", "distill", "export", "serve"} & set(done.stdout.split())
