"""Early stopping as MLPerf has it: against the formula written out, and against what its LoadGen printed."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest

from bench.load.early_stopping import chance, judge_bound, judge_percentile, min_under

PRINTED_BY_LOADGEN = {200: 9, 2048: 172}
"""SingleStream runs of LoadGen 6.0: queries -> highest latencies it said it would discard."""


def slow_chance(under, over, share):
    n = under + over
    p = Fraction(share)
    return float(sum(comb(n, k) * (1 - p) ** k * p ** (n - k) for k in range(over + 1)))


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
@pytest.mark.parametrize(("under", "over"), [(1, 0), (63, 1), (300, 20), (661, 1)])
def test_the_chance_is_the_binomial_sum(under, over, share):
    assert chance(under, over, share) == pytest.approx(slow_chance(under, over, share), rel=1e-9)


@pytest.mark.parametrize(("share", "queries"), [(0.9, 64), (0.99, 662)])
def test_the_fewest_queries_are_those_that_loadgen_asks_for(share, queries):
    assert min_under(1, share) + 1 == queries
    few = judge_percentile(np.ones(queries - 1), share)
    assert (few.is_met, few.needed_queries, few.estimate_ms) == (False, queries, None)
    assert judge_percentile(np.ones(queries), share).is_met


@pytest.mark.parametrize(("queries", "discarded"), PRINTED_BY_LOADGEN.items())
def test_as_many_slow_queries_are_set_aside_as_loadgen_sets_aside(queries, discarded):
    latencies = np.random.default_rng(0).permutation(np.arange(float(queries)))
    assert judge_percentile(latencies, 0.9).estimate_ms == queries - 1 - discarded


def test_the_claimed_percentile_is_above_the_plain_one():
    latencies = np.random.default_rng(1).exponential(10, 3000)
    assert judge_percentile(latencies, 0.9).estimate_ms > np.quantile(latencies, 0.9)


def test_a_server_run_needs_what_loadgen_said_it_would_need():
    """60 queries, 42 of them over the bound: "would need to run at least 5902 more"."""
    latencies = np.where(np.arange(60) < 42, 200.0, 20.0)
    judged = judge_bound(latencies, 0.99, 100.0)
    assert (judged.is_met, judged.needed_queries) == (False, 60 + 5902)


def test_a_server_run_without_slow_queries_needs_459():
    assert not judge_bound(np.ones(458), 0.99, 100.0).is_met
    assert judge_bound(np.ones(459), 0.99, 100.0).is_met


def test_large_runs_are_judged_without_overflow():
    latencies = np.random.default_rng(2).exponential(10, 200_000)
    assert judge_percentile(latencies, 0.99).estimate_ms == pytest.approx(46.5, rel=0.03)
