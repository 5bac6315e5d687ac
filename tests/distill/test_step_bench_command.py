"""`afdcd distill bench`: which methods it measures, its sentences, and the table of the loss alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from distill.__main__ import app
from distill.step_bench import loss_speed
from distill.step_bench.loss_memory import extra_bytes
from distill.step_bench.loss_report import render_losses
from distill.step_bench.loss_speed import LossRow, compare_losses
from modelpack.command import run
from tests.distill.tiny_recipe import AFDCD, KD, NETWORK, tiny_values, write_recipe

SMALL = (1, 32, 4, 8)
QUICK = ["--steps", "1", "--rounds", "2", "--warm-up", "1"]


def bench(*words: object) -> int:
    return run(app, ["bench", *map(str, words)], "afdcd distill")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe whose methods stand in its variants alone."""
    variants = {"alone": [], "kd": [KD], "with_afdcd": [KD, AFDCD]}
    values = tiny_values(tmp_path / "out", teacher=NETWORK) | {"compare": {"variants": variants}}
    return write_recipe(tmp_path / "recipe.yaml", values)


@pytest.fixture
def row(monkeypatch: pytest.MonkeyPatch) -> LossRow:
    """A small shape, measured; memory in this process, which another test looks at."""
    monkeypatch.setattr(loss_speed, "_MIN_VISIT_S", 0.0)
    monkeypatch.setattr(loss_speed, "_extra_bytes", lambda name, _: {"ours": 1, "published": 8}[name] << 20)
    return compare_losses([SMALL], rounds=2)[0]


def last_json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.parametrize(
    ("words", "variant", "methods"),
    [
        ([], "with_afdcd", ["kd", "afdcd"]),
        (["methods=[{name: kd}]"], None, ["kd"]),
    ],
)
def test_methods_are_those_of_the_recipe_or_of_a_variant(
    recipe: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    variant: str | None,
    methods: list[str],
):
    assert bench(recipe, *words, *QUICK, "--synthetic", "--json") == 0
    result = last_json(capsys)["result"]
    assert (result["variant"], result["methods"]) == (variant, methods)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--variant", "kdd"], "unknown variant 'kdd'. Did you mean 'kd'?"),
        (["--variant", "kd", "--against", "published"], "no method that would be measured has one"),
        (["--loss"], "reads no recipe"),
        (["--shape", "4x256x16x32"], "--loss --shape 4x256x16x32"),
    ],
)
def test_wrong_use_exits_2_with_one_sentence(
    recipe: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
):
    assert bench(recipe, *words) == 2
    assert sentence in capsys.readouterr().err.splitlines()[-1]


def test_a_shape_that_is_none_is_explained(capsys: pytest.CaptureFixture[str]):
    assert bench("--loss", "--shape", "4x256x16") == 2
    assert "is not IMAGESxCHANNELSxHEIGHTxWIDTH" in capsys.readouterr().err.splitlines()[-1]


def test_a_trace_of_a_variant_is_written_on_request(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "traces" / "step.json"
    assert bench(recipe, *QUICK, "--synthetic", "--variant", "kd", "--trace", path, "--json") == 0
    assert last_json(capsys)["result"]["variant"] == "kd"
    assert json.loads(path.read_text())["traceEvents"]


def test_both_formulations_have_the_gradient_of_the_definition(row: LossRow):
    assert 0 < row.ours.gradient_error < 1e-5
    assert 0 < row.published.gradient_error < 1e-5


def test_a_row_of_the_loss_shows_ratios_and_bars(row: LossRow):
    barred = row.model_copy(update={"needed_speed_up": 1e-9, "needed_saving": 9.0})
    last = render_losses([row, barred]).splitlines()[-1]
    assert last.startswith("| 1x32x4x8 |")
    assert "| 8.0 (9) |" in last
    assert last.endswith("| missed |")
    assert row.is_met is None


@pytest.mark.parametrize("formulation", ["ours", "published"])
def test_a_call_takes_some_memory_where_that_is_known(formulation: str):
    taken = extra_bytes(formulation, SMALL)
    assert taken is None or taken >= 0


@pytest.mark.slow
def test_the_loss_alone_is_compared_in_processes_of_its_own(capsys: pytest.CaptureFixture[str]):
    assert bench("--loss", "--shape", "2x256x16x16", "--rounds", "2", "--json") == 0
    row = last_json(capsys)["rows"][0]
    assert row["published"]["extra_bytes"] is None or row["saving"] > 1
