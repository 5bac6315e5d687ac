"""Percentiles, their intervals and the ratio of two medians, against slow and obvious references."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest

from bench.statistics import interval_ranks, median_ratio, percentile_interval

ROUNDING = 1e-9


def below(count: int, n: int, share: Fraction) -> Fraction:
    """Probability that fewer than `count` of n samples fall below the quantile, in exact arithmetic."""
    return sum((comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(count)), Fraction(0))


@pytest.mark.parametrize(("n", "percent"), [(20, 50), (57, 50), (80, 90), (140, 95), (600, 99)])
def test_interval_ends_leave_a_fortieth_on_each_side_and_are_the_narrowest_that_do(n, percent):
    share, tail = Fraction(percent, 100), Fraction(1, 40)
    first, last = interval_ranks(n, percent / 100)
    assert below(first, n, share) <= tail < below(first + 1, n, share)
    assert below(last - 1, n, share) < 1 - tail <= below(last, n, share)


def test_median_of_a_hundred_lies_between_the_ranks_of_the_published_tables():
    assert interval_ranks(100, 0.5) == (40, 61)


def test_percentile_and_its_interval_are_taken_from_the_sorted_samples():
    shuffled = np.random.default_rng(0).permutation(np.arange(1.0, 102.0))
    entry = percentile_interval(shuffled, 50)
    assert (entry.value, entry.lower, entry.upper) == (51.0, *map(float, interval_ranks(101, 0.5)))


@pytest.mark.parametrize(("percent", "least"), [(50, 10), (90, 50), (95, 100), (99, 500), (99.9, 5000)])
def test_percentile_needs_five_samples_beyond_it(percent, least):
    samples = np.linspace(1, 2, least)
    assert percentile_interval(samples, percent).value == pytest.approx(np.quantile(samples, percent / 100))
    refused = percentile_interval(samples[1:], percent)
    assert (refused.value, refused.lower, refused.upper) == (None, None, None)
    assert refused.note == f"n too small for p{percent} (needs {least})"


def test_large_samples_do_not_overflow():
    samples = np.random.default_rng(0).normal(10, 1, 200_000)
    entry = percentile_interval(samples, 99)
    assert entry.lower < entry.value < entry.upper < entry.lower + 0.1


def test_drift_that_hits_both_cases_does_not_touch_their_ratio():
    drift = [1.0, 1.5, 2.0, 3.0]
    fast = [[factor * 2.0] * 5 for factor in drift]
    slow = [[factor * 6.0] * 5 for factor in drift]
    ratio = median_ratio(slow, fast, seed=0)
    assert (ratio.value, ratio.lower, ratio.upper) == pytest.approx((3.0, 3.0, 3.0), abs=ROUNDING)
    assert ratio.is_different


def test_two_cases_of_the_same_speed_are_not_called_different():
    random = np.random.default_rng(1)
    first, second = (random.normal(10, 1, (10, 30)).tolist() for _ in range(2))
    ratio = median_ratio(first, second, seed=0)
    assert ratio.lower < 1 < ratio.upper
    assert not ratio.is_different


def test_ratio_interval_is_wider_when_rounds_disagree():
    steady = median_ratio([[2.0]] * 10, [[1.0]] * 10, seed=0)
    unsteady = median_ratio([[2.0], [3.0]] * 5, [[1.0]] * 10, seed=0)
    assert unsteady.upper - unsteady.lower > steady.upper - steady.lower == 0


def test_ratio_needs_the_same_rounds_of_both():
    with pytest.raises(ValueError, match="got 2 and 3"):
        median_ratio([[1.0]] * 2, [[1.0]] * 3, seed=0)
