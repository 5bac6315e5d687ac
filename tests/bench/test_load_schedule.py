"""The arrival times of open loops."""

import numpy as np
import pytest

from bench.load.schedule import arrival_offsets_ns

RATE, SECONDS = 200.0, 100.0
EXPECTED = RATE * SECONDS
SIGMAS = 5
"""A seeded draw beyond five standard deviations would be one in a million."""


@pytest.fixture(scope="module")
def poisson():
    return arrival_offsets_ns(RATE, SECONDS, "poisson", seed=3)


def test_poisson_arrivals_are_as_many_as_the_rate_says(poisson):
    assert abs(len(poisson) - EXPECTED) < SIGMAS * EXPECTED**0.5


def test_poisson_gaps_are_exponential(poisson):
    gaps = np.diff(poisson) * 1e-9 * RATE
    assert gaps.std() == pytest.approx(1, abs=0.05)
    for times in (0.1, 1, 3):
        assert (gaps > times).mean() == pytest.approx(np.exp(-times), abs=0.02)


def test_poisson_counts_of_one_second_vary_as_much_as_they_are_large(poisson):
    counts = np.bincount((poisson * 1e-9).astype(int), minlength=int(SECONDS))
    assert counts.var() / counts.mean() == pytest.approx(1, abs=0.5)


def test_arrivals_depend_on_the_seed_alone(poisson):
    assert np.array_equal(poisson, arrival_offsets_ns(RATE, SECONDS, "poisson", seed=3))
    assert not np.array_equal(poisson[:10], arrival_offsets_ns(RATE, SECONDS, "poisson", seed=4)[:10])


def test_constant_arrivals_are_multiples_of_one_gap():
    offsets = arrival_offsets_ns(RATE, 2.0, "constant", seed=0)
    assert len(offsets) == 2.0 * RATE
    np.testing.assert_allclose(offsets, np.arange(len(offsets)) * 1e9 / RATE, atol=2)


@pytest.mark.parametrize("arrivals", ["poisson", "constant"])
def test_arrivals_ascend_and_end_in_time(arrivals):
    offsets = arrival_offsets_ns(7.0, 3.0, arrivals, seed=0)
    assert (np.diff(offsets) >= 0).all()
    assert offsets[0] >= 0
    assert offsets[-1] < 3e9
