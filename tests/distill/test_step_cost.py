"""What a step of each variant costs: visited in turn, kept, shown beside the mIoU. No time is asserted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distill.compare import CompareConfig, compare, read_comparison
from distill.config import TrainConfig
from distill.step_cost import measure
from distill.step_cost.measure import CostError, measure_costs
from distill.step_cost.result import PreparationVisit, Visit, costs_of
from distill.step_cost.settings import CostConfig
from distill.step_cost.visit import visit
from modelpack.errors import CheckpointError, SettingsError, UsageError
from modelpack.settings import parse_settings
from tests.distill.preparation_cases import MASKD, STEPS
from tests.distill.tiny_recipe import KD, NETWORK, as_config, taught_values, tiny_values

QUICK = CostConfig(rounds=2, warm_up=1, steps=1)
MIB = 2**20


def made_up(*steps_ms: float, peak: int | None = 100 * MIB, **preparations: PreparationVisit) -> Visit:
    return Visit(steps_ms=steps_ms, peak_memory_bytes=peak, preparations=preparations)


@pytest.fixture
def visited(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the variants that were visited, in order; nothing is measured."""
    names: list[str] = []

    def note(name: str, *_: object) -> Visit:
        names.append(name)
        return made_up(10.0 * len(names))

    monkeypatch.setattr(measure, "_visit", note)
    return names


@pytest.fixture
def variants(tmp_path: Path) -> dict[str, TrainConfig]:
    teacher = {**NETWORK, "checkpoint": "somewhere"}
    values = tiny_values(tmp_path, teacher=teacher)
    return {"alone": as_config(values), "kd": as_config(values | {"methods": [KD]})}


def test_variants_are_visited_in_turn(visited: list[str], variants: dict[str, TrainConfig], tmp_path: Path):
    measure_costs(variants, QUICK, tmp_path)
    assert visited == ["alone", "kd", "alone", "kd"]


def test_what_is_measured_is_not_measured_again(
    visited: list[str], variants: dict[str, TrainConfig], tmp_path: Path
):
    first = measure_costs(variants, QUICK, tmp_path)
    assert measure_costs(variants, QUICK, tmp_path) == first
    assert len(visited) == 4


def test_an_interrupted_measurement_goes_on_where_it_was(
    monkeypatch: pytest.MonkeyPatch, visited: list[str], variants: dict[str, TrainConfig], tmp_path: Path
):
    note: Callable[..., Visit] = measure._visit

    def interrupted(name: str, *rest: object) -> Visit:
        if len(visited) == 3:
            raise KeyboardInterrupt
        return note(name, *rest)

    monkeypatch.setattr(measure, "_visit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure_costs(variants, QUICK, tmp_path)
    monkeypatch.setattr(measure, "_visit", note)
    measure_costs(variants, QUICK, tmp_path)
    assert visited == ["alone", "kd", "alone", "kd"]


@pytest.mark.parametrize("change", ["another variant", "other settings"])
def test_a_change_measures_all_again(
    visited: list[str], variants: dict[str, TrainConfig], tmp_path: Path, change: str
):
    measure_costs(variants, QUICK, tmp_path)
    if change == "another variant":
        variants["kd twice"] = variants["kd"]
    else:
        optim = variants["kd"].optim.model_copy(update={"batch": 2})
        variants["kd"] = variants["kd"].model_copy(update={"optim": optim})
    measure_costs(variants, QUICK, tmp_path)
    assert visited[4:] == list(variants) * 2


def test_a_moved_folder_is_still_the_same(
    visited: list[str], variants: dict[str, TrainConfig], tmp_path: Path
):
    measure_costs(variants, QUICK, tmp_path)
    moved = {name: one.model_copy(update={"output": tmp_path / "moved"}) for name, one in variants.items()}
    measure_costs(moved, QUICK, tmp_path)
    assert len(visited) == 4


def test_a_damaged_file_says_what_to_do(variants: dict[str, TrainConfig], tmp_path: Path):
    (tmp_path / "cost.json").write_text("{")
    with pytest.raises(
        CheckpointError, match=r"cost\.json is damaged. Remove it, and costs are measured again"
    ):
        measure_costs(variants, QUICK, tmp_path)


def test_several_processes_are_refused_before_anything_is_trained(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match=r"compare\.cost=null"):
        compare(tiny_values(tmp_path), CompareConfig(cost=QUICK), "tiny")
    assert list(tmp_path.iterdir()) == []


def test_one_round_has_no_interval():
    with pytest.raises(SettingsError, match=r"cost\.rounds"):
        parse_settings(CompareConfig, {"cost": {"rounds": 1}}, "recipe (compare)")


def test_figures_are_medians_and_ratios_of_the_same_rounds():
    visits = {"alone": [made_up(10, 12), made_up(10, 12)], "kd": [made_up(20, 24), made_up(20, 24)]}
    costs = costs_of(visits, QUICK, threads=1, environment={})
    assert costs.variants["kd"].step_ms.value == 22
    assert costs.variants["kd"].times_first.value == 2
    assert costs.variants["alone"].times_first is None


def test_a_preparation_costs_all_of_its_steps():
    learned = PreparationVisit(steps=400, batch=16, steps_ms=(500.0, 500.0))
    costs = costs_of({"maskd": [made_up(10, maskd=learned)] * 2}, QUICK, threads=1, environment={})
    assert costs.variants["maskd"].preparations["maskd"].seconds.value == 200


def test_memory_that_is_not_known_is_not_invented():
    costs = costs_of({"alone": [made_up(10, peak=None)] * 2}, QUICK, threads=1, environment={})
    assert costs.variants["alone"].peak_memory_bytes is None


def test_a_visit_takes_the_steps_of_the_variant_and_of_its_preparation(tmp_path: Path, teacher: Path):
    config = as_config(taught_values(tmp_path, teacher, methods=[MASKD]))
    measured = visit(config, warm_up=1, steps=2)
    learned = measured.preparations["maskd"]
    assert (len(measured.steps_ms), len(learned.steps_ms), learned.steps) == (2, 2, STEPS)
    assert min(*measured.steps_ms, *learned.steps_ms) > 0


def compared(output: Path, teacher: Path, **settings: Any) -> dict[str, Any]:
    values = taught_values(output, teacher, optim={"steps": 1}, evaluation={"every": 1}, methods=[])
    variants = {"alone": [], "kd": [KD]}
    compare_config = parse_settings(CompareConfig, {"variants": variants, "seeds": [0], **settings}, "tiny")
    return read_comparison(compare(values, compare_config, "tiny"))


def test_the_table_shows_costs_of_runs_that_were_finished_before(
    visited: list[str], tmp_path: Path, teacher: Path
):
    without = compared(tmp_path, teacher)
    assert (without["cost"], without["rows"][1]["cost"]) == (None, None)
    rows = compared(tmp_path, teacher, cost={"rounds": 2})["rows"]
    assert [row["miou_percent"] for row in rows] == [row["miou_percent"] for row in without["rows"]]
    assert [row["cost"]["peak_memory_bytes"] for row in rows] == [100 * MIB, 100 * MIB]
    text = (tmp_path / "compare" / "compare.md").read_text()
    assert "| ms per step | times alone | peak memory, MiB |" in text
    assert "| 20.0 [10.0, 30.0] |  | 100 |" in text  # visits 1 and 3 of 10, 20, 30, 40 ms
    assert "2 rounds of all variants in turn, each time 5 steps after 3 that are not counted" in text
    assert visited == ["alone", "kd"] * 2


@pytest.mark.slow
def test_each_visit_is_a_process_of_its_own(tmp_path: Path, teacher: Path):
    result = compared(tmp_path, teacher, cost=QUICK.model_dump())
    kept = json.loads((tmp_path / "compare" / "cost.json").read_text())["visits"]
    assert {name: len(visits) for name, visits in kept.items()} == {"alone": 2, "kd": 2}
    assert all(row["cost"]["step_ms"]["value"] > 0 for row in result["rows"])


@pytest.mark.slow
def test_a_process_that_fails_is_one_sentence(variants: dict[str, TrainConfig], tmp_path: Path):
    with pytest.raises(CostError, match=r"the cost of kd failed: .*somewhere.*compare\.cost=null"):
        measure_costs({"kd": variants["kd"]}, QUICK, tmp_path)
