"""`afdcd distill bench --processes`: what is timed, what follows from the times, its sentences."""

import json
from pathlib import Path

import pytest

from distill.__main__ import app
from distill.compute import Compute
from distill.distributed import Processes
from distill.step_bench.noise import noise_like
from distill.step_bench.scaling_report import render_scaling
from distill.step_bench.scaling_result import MODES, Mode, ModeTimes, StepScaling, figures_of
from distill.step_bench.scaling_worker import Scaling
from distill.step_bench.visits import WarmUp
from modelpack.command import run
from modelpack.environment import fingerprint
from tests.distill.tiny_recipe import KD, NETWORK, tiny_config, tiny_values, write_recipe

PLANTED_MS: dict[Mode, float] = {"one": 100.0, "apart": 125.0, "together": 160.0}


def bench(*words: object) -> int:
    return run(app, ["bench", *map(str, words)], "afdcd distill")


@pytest.fixture
def planted() -> StepScaling:
    """Two processes of 4 images each, whose steps took the times above."""
    settled = WarmUp(is_stationary=True, window_medians_ms=())
    times = {mode: ModeTimes(warm_up=settled, rounds_ms=((ms,), (ms,))) for mode, ms in PLANTED_MS.items()}
    modes, ratios = figures_of(times, processes=2, batch=4)
    return StepScaling(
        name="planted",
        variant=None,
        methods=("kd",),
        student="small",
        teacher="large",
        data="noise",
        crop=(32, 64),
        batch=4,
        processes=2,
        backend="gloo",
        sync_norm=True,
        device="cpu",
        precision="fp32",
        threads=1,
        rounds=2,
        steps=1,
        modes=modes,
        **ratios,
        environment=fingerprint(),
    )


def test_images_are_those_of_all_processes(planted: StepScaling):
    assert [figures.images_per_s.value for figures in planted.modes] == pytest.approx([40.0, 64.0, 50.0])


def test_the_loss_is_split_into_that_of_the_machine_and_that_of_the_exchange(planted: StepScaling):
    ratios = planted.efficiency, planted.machine, planted.exchange
    assert [ratio.value for ratio in ratios] == pytest.approx([0.625, 0.8, 0.78125])
    assert all(ratio.lower <= ratio.value <= ratio.upper for ratio in ratios)


def test_the_report_names_every_mode_and_the_efficiency(planted: StepScaling):
    report = render_scaling(planted)
    for line in (
        "| one process | 100.0 [100.0, 100.0] | 40.00 [40.00, 40.00] | 100 % |",
        "| 2 processes, each for itself | 125.0 [125.0, 125.0] | 64.00 [64.00, 64.00] | 80.0 % [",
        "- Efficiency: 62.5 % [62.5, 62.5]",
        "gloo, batch norm over all processes",
    ):
        assert line in report


def test_every_mode_is_visited_in_every_round(tmp_path: Path):
    config = tiny_config(tmp_path)
    scaling = Scaling(config, Compute.choose(config.compute), Processes(), noise_like(config))
    times = scaling.measure(steps=1, rounds=2, max_windows=1)
    assert tuple(times) == MODES
    assert all([len(visit) for visit in measured.rounds_ms] == [1, 1] for measured in times.values())
    assert all(len(measured.warm_up.window_medians_ms) == 1 for measured in times.values())


@pytest.mark.parametrize("words", [["--against", "published"], ["--trace", "trace.json"]])
def test_what_times_parts_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]):
    recipe = write_recipe(tmp_path / "recipe.yaml", tiny_values(tmp_path / "out"))
    assert bench(recipe, "--processes", 2, *words) == 2
    assert "leave --against and --trace out" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
def test_two_processes_are_measured_and_the_files_hold_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    values = tiny_values(tmp_path / "out", teacher=NETWORK, methods=[KD], compute={"threads": 0})
    recipe = write_recipe(tmp_path / "recipe.yaml", values)
    quick = ["--steps", 1, "--rounds", 2, "--warm-up", 1]
    assert bench(recipe, "--processes", 2, "--synthetic", *quick, "--json") == 0
    folder = tmp_path / "out" / "bench-train"
    result = StepScaling.model_validate_json((folder / "scaling.json").read_text())
    assert (folder / "scaling.md").read_text() == render_scaling(result)
    assert (result.processes, result.batch, result.threads, result.backend) == (2, 4, 1, "gloo")
    assert [[len(visit) for visit in figures.rounds_ms] for figures in result.modes] == [
        [1, 1],
        [2, 2],
        [2, 2],
    ]
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["result"]["efficiency"]["value"] > 0


@pytest.mark.slow
def test_what_the_processes_refuse_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    afdcd = {"name": "afdcd", "student_feature": "stage9"}
    recipe = write_recipe(
        tmp_path / "recipe.yaml", tiny_values(tmp_path / "out", teacher=NETWORK, methods=[afdcd])
    )
    assert bench(recipe, "--processes", 2, "--synthetic") == 1
    assert "reads the student's feature stage9" in capsys.readouterr().err.splitlines()[-1]
