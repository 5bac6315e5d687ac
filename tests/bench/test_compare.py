"""`compare_results` on planted results: what it finds, what it warns of, what it refuses."""

import numpy as np
import pytest

from bench.compare import ComparisonError, compare_results
from bench.compare_report import render_markdown, render_terminal
from bench.result import ImageUsed
from bench.statistics import independent_ratio
from tests.bench.planted import ENVIRONMENT, noise, result_of

REPEATS = 120
DRAWS = 200
MOST_MISSES = 15
"""Of 120 intervals of 95%, 6 miss on average, and more than 15 once in 3000 such tests."""


def compared(a_rounds, b_rounds, **options):
    return compare_results(result_of({"onnx": a_rounds}), result_of({"onnx": b_rounds}), **options)


def test_equal_cases_show_no_difference():
    (pair,) = compared(noise(10, seed=1), noise(10, seed=2)).pairs
    assert pair.finding == "no difference"
    assert pair.ratio.lower < 1 < pair.ratio.upper


@pytest.mark.parametrize(("b_ms", "finding"), [(11.5, "slower"), (8.5, "faster")])
def test_a_real_difference_is_found_and_its_size(b_ms, finding):
    (pair,) = compared(noise(10, seed=1), noise(b_ms, seed=2)).pairs
    assert pair.finding == finding
    assert pair.ratio.lower < b_ms / 10 < pair.ratio.upper
    assert (pair.a_median_ms, pair.b_median_ms) == (
        pytest.approx(10, rel=0.03),
        pytest.approx(b_ms, rel=0.03),
    )


def test_intervals_of_equal_cases_hold_1_as_often_as_they_say():
    misses = 0
    for seed in range(REPEATS):
        a, b = noise(10, runs=10, seed=2 * seed), noise(10, runs=10, seed=2 * seed + 1)
        misses += independent_ratio(a, b, seed, resamples=DRAWS).is_different
    assert misses <= MOST_MISSES


def test_rounds_are_the_unit_however_many_samples_they_hold():
    few, many = (
        independent_ratio(*(noise(10, runs=runs, spread=0.05, seed=seed) for seed in (1, 2)), seed=0)
        for runs in (10, 500)
    )
    assert many.upper - many.lower > 0.5 * (few.upper - few.lower)


@pytest.mark.parametrize(
    ("slowdown", "limit", "fails"),
    [(1.2, 0.05, True), (1.2, 0.3, False), (1.0, 0.05, False), (1.2, None, False), (0.8, 0.05, False)],
)
def test_a_case_fails_only_where_its_whole_interval_is_beyond_the_limit(slowdown, limit, fails):
    result = compared(noise(10, seed=1), noise(10 * slowdown, seed=2), limit=limit)
    assert bool(result.failures) is fails


def test_a_median_beyond_the_limit_with_an_interval_that_is_not_does_not_fail():
    wild = [(10.0 * factor,) * 20 for factor in (0.7, 1.5, 0.8, 1.4, 1.1, 1.2)]
    result = compared(noise(10, rounds=6, seed=1), wild, limit=0.05)
    assert result.pairs[0].ratio.value > 1.05
    assert result.failures == ()


def test_cases_are_paired_by_artifact_and_the_rest_is_named():
    a = result_of({"fp32": noise(10), "fp16": noise(8)}, label="before")
    b = result_of({"fp32": noise(10), "int8": noise(5)}, label="after")
    result = compare_results(a, b, names=("old", "new"))
    assert [pair.name for pair in result.pairs] == [
        "before fp32, graph, batch 1 → after fp32, graph, batch 1"
    ]
    assert result.unpaired == (
        "before fp16, graph, batch 1: in old only",
        "after int8, graph, batch 1: in new only",
    )


def test_of_several_packages_each_is_compared_with_its_namesake():
    teacher, student = (
        result_of({"fp32": noise(ms)}, label=name) for ms, name in ((40, "teacher"), (10, "student"))
    )
    both = teacher.model_copy(
        update={
            "sessions": (*teacher.sessions, *student.sessions),
            "cases": (*teacher.cases, *student.cases),
        }
    )
    assert [pair.name for pair in compare_results(both, student).pairs] == ["student fp32, graph, batch 1"]
    assert [pair.a_median_ms < 11 for pair in compare_results(both, both).pairs] == [False, True]


def test_results_without_a_common_case_are_refused():
    with pytest.raises(ComparisonError, match=r"no case is in both results: A holds package fp32"):
        compare_results(result_of({"fp32": noise(10)}), result_of({"int8": noise(10)}))


def test_different_boundaries_are_refused():
    with pytest.raises(ComparisonError, match="A measures the boundary graph and B image"):
        compare_results(result_of({"x": noise(10)}), result_of({"x": noise(10)}, boundary="image"))


def test_a_boundary_that_means_something_else_is_refused():
    other = result_of({"x": noise(10)}, boundaries={"graph": "graph and copies"})
    with pytest.raises(ComparisonError, match="in B 'graph and copies'"):
        compare_results(result_of({"x": noise(10)}), other)


def test_every_difference_of_the_conditions_is_named():
    a = result_of({"x": noise(10)})
    environment = {
        **ENVIRONMENT,
        "cpu": {**ENVIRONMENT["cpu"], "model": "Another CPU"},
        "packages": {"numpy": "2.4.6", "onnxruntime": "1.30.0"},
    }
    image = ImageUsed(name="frame.jpg", sha256="ab" * 32, size=(30, 50))
    session = a.sessions[0].model_copy(update={"input_size": (180, 240), "device": "cuda:0"})
    b = a.model_copy(update={"environment": environment, "images": (image,), "sessions": (session,)})
    assert compare_results(a, b).warnings == (
        "cpu model differs: Planted CPU → Another CPU",
        f"images differs: none → frame.jpg {'ab' * 6}",
        "packages onnxruntime differs: 1.31.1 → 1.30.0",
        "package x, graph, batch 1: device differs: cpu → cuda:0",
        "package x, graph, batch 1: input size differs: 360 480 → 180 240",
    )


def test_equal_conditions_give_no_warning():
    assert compared(noise(10, seed=1), noise(10, seed=2)).warnings == ()


def test_a_noisy_result_is_a_warning():
    noisy = compared(noise(10), [(10.0,) * 6] * 3)
    assert noisy.warnings == ("B is noisy: only 18 samples, 30 are the least",)


def test_cases_of_different_threads_are_no_pair():
    a = result_of({"x": noise(10)})
    session = a.sessions[0].model_copy(update={"threads": 2})
    with pytest.raises(ComparisonError, match="no case is in both"):
        compare_results(a, a.model_copy(update={"sessions": (session,)}))


@pytest.mark.parametrize("render", [render_markdown, render_terminal])
def test_reports_hold_figures_warnings_and_what_was_left_out(render):
    a = result_of({"fp32": noise(10, seed=1), "fp16": noise(8)})
    b = result_of({"fp32": noise(12, seed=2)}, environment={**ENVIRONMENT, "python": "3.12.1"})
    result = compare_results(a, b, limit=0.05, names=("old.json", "new.json"))
    text = render(result)
    (pair,) = result.pairs
    for words in (
        f"{pair.ratio.value:.3f}",
        f"{pair.a_median_ms:.1f}",
        f"{pair.b_median_ms:.1f}",
        "slower, beyond the limit",
        "python differs: 3.11.9 → 3.12.1",
        "package fp16, graph, batch 1: in old.json only",
        "slower by more than 5% with the whole interval",
    ):
        assert words in text


def test_ratio_is_that_of_the_medians_of_all_samples():
    a, b = noise(10, seed=1), noise(12, seed=2)
    (pair,) = compared(a, b).pairs
    expected = np.median(np.concatenate(b)) / np.median(np.concatenate(a))
    assert pair.ratio.value == pytest.approx(expected)


def test_one_round_has_no_interval():
    with pytest.raises(ValueError, match="at least 2"):
        independent_ratio([[1.0, 1.1]], [[1.0], [1.1]], seed=0)
