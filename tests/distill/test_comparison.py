"""The statistics behind a comparison table."""

import numpy as np
import pytest

from distill.compare import CompareConfig
from distill.compare_report import render_markdown
from distill.comparison import difference, mean_and_deviation, miou_of
from modelpack.environment import fingerprint


def counts(generator: np.random.Generator, hit_rate: float, images: int = 40, classes: int = 3) -> np.ndarray:
    target = generator.integers(50, 150, (images, classes))
    hit = (target * hit_rate).astype(int)
    return np.stack([hit, target, target], axis=1)


def test_miou_is_taken_over_the_whole_set_and_not_per_image():
    two_images = np.array([[[10], [10], [10]], [[0], [90], [90]]])
    assert miou_of(two_images) == pytest.approx(100 * 10 / (100 + 100 - 10))


def test_a_class_that_is_nowhere_is_left_out_or_counts_as_zero():
    one_image = np.array([[[5, 0], [5, 0], [5, 0]]])
    assert miou_of(one_image) == 100.0
    assert miou_of(one_image, absent_as_zero=True) == 50.0


def test_equal_sides_differ_by_nothing():
    side = {0: counts(np.random.default_rng(0), 0.8)}
    result = difference(side, side)
    assert (result.mean, result.low, result.high) == (0.0, 0.0, 0.0)
    assert not result.is_clear


def test_a_large_gain_is_clear_and_its_interval_holds_the_mean():
    ours = {seed: counts(np.random.default_rng(seed), 0.9) for seed in range(3)}
    theirs = {seed: counts(np.random.default_rng(seed), 0.7) for seed in range(3)}
    result = difference(ours, theirs)
    assert result.low <= result.mean <= result.high
    assert result.is_clear


def test_only_common_seeds_are_compared():
    generator = np.random.default_rng(0)
    good, bad = counts(generator, 0.9), counts(generator, 0.5)
    assert difference({0: good, 1: bad}, {0: good, 2: bad}).mean == 0.0


def test_a_single_value_has_no_deviation():
    assert mean_and_deviation([3.0]) == (3.0, None)
    assert mean_and_deviation([1.0, 3.0]) == (2.0, pytest.approx(np.sqrt(2)))


@pytest.mark.parametrize(
    ("names", "baselines"),
    [(["alone", "afdcd"], ("alone",)), (["kd", "alone", "x"], ("alone", "kd")), (["x", "y"], ())],
)
def test_variants_are_compared_with_those_of_alone_and_kd_that_there_are(names, baselines):
    assert tuple(CompareConfig(variants={name: [] for name in names}).baselines) == baselines


def test_a_baseline_that_is_no_variant_is_refused():
    with pytest.raises(ValueError, match="against names kd, which is no variant; there are alone"):
        CompareConfig(variants={"alone": []}, against=("kd",))


def test_the_table_names_the_code_and_the_machine():
    environment = fingerprint()
    row = {"variant": "alone", "mean": 1.0, "deviation": None, "miou_percent": [1.0], "difference": {}}
    report = {"dataset": "d", "split": "val", "images": 1, "image_size": "native"}
    result = {
        "name": "n",
        "report": report,
        "rows": [row | {"iou_per_class": {"a": None}}],
        "student": {"network": "s", "parameters": 1},
        "teacher": None,
        "environment": environment,
        **dict.fromkeys(("steps", "batch", "selection", "precision", "device"), 1),
        "seeds": [0],
    }
    last = render_markdown(result).strip().splitlines()[-1]
    assert last.startswith(f"afdcd {environment['code']}")
    assert environment["cpu"]["model"] in last
