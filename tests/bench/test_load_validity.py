"""A run that the generator, the server or the machine spoiled says so."""

import numpy as np
import pytest

from bench.load.samples import Outcome
from tests.bench.load_runs import closed, made_samples, opened, summarised

N = 1000
STEADY_MS = np.full(N, 20.0)
OPEN = opened(rate=100, seconds=10)


def verdict(samples=None, loop=OPEN, **facts):
    return summarised(loop, made_samples(STEADY_MS) if samples is None else samples, **facts).verdict


def failing(count, outcome=Outcome.WRONG_STATUS):
    return made_samples(STEADY_MS, outcome=np.where(np.arange(N) < count, outcome, Outcome.OK))


def test_a_steady_run_is_valid():
    assert str(verdict()) == "valid"


def test_a_late_generator_makes_it_invalid():
    late = verdict(made_samples(STEADY_MS, lag_ms=2.5))
    assert late.state == "invalid"
    assert late.generator_faults
    assert "p99 of its lag is 2.50 ms where 2.00 ms may be" in str(late)


def test_lag_below_a_tenth_of_the_latency_does_not():
    assert verdict(made_samples(STEADY_MS, lag_ms=1.5)).state == "valid"


def test_a_busy_generator_makes_it_invalid():
    busy = verdict(cpu=0.81)
    assert busy.generator_faults
    assert "a generator process used 81% of a core" in str(busy)


def test_waiting_for_connections_makes_an_open_loop_invalid():
    assert "2 queries waited for a free connection" in str(verdict(waits=2))
    assert verdict(waits=1).state == "valid"


@pytest.mark.parametrize("outcome", [kind for kind in Outcome if kind is not Outcome.OK])
def test_more_failures_than_the_stated_share_make_it_invalid(outcome):
    assert verdict(failing(1, outcome)).state == "valid"
    spoiled = verdict(failing(2, outcome))
    assert not spoiled.generator_faults
    assert "2 of 1000 queries failed (0.20%), at most 0.10% may" in str(spoiled)


def test_a_growing_queue_makes_it_invalid():
    """A tenth more than the server takes: every query waits a millisecond longer than the last."""
    growing = verdict(made_samples(20.0 + np.arange(N)))
    assert "the server did not keep up" in str(growing)
    assert not growing.generator_faults


def test_a_stall_that_ends_is_no_growing_queue():
    stalled = STEADY_MS + np.clip(1000 - 10.0 * np.abs(np.arange(N) - 500), 0, None)
    assert verdict(made_samples(stalled)).state == "valid"


def test_few_queries_make_it_invalid():
    assert "only 29 queries" in str(verdict(made_samples(STEADY_MS[:29])))


def test_no_query_at_all_makes_it_invalid():
    assert "no query was recorded" in str(verdict(made_samples([])))


def test_load_by_others_makes_it_noisy():
    noisy = verdict(other_load=0.5)
    assert noisy.state == "noisy"
    assert "other processes used 50% of the CPUs" in str(noisy)


def test_a_closed_loop_has_no_rate_to_keep():
    samples = made_samples(20.0 + np.arange(N))
    assert verdict(samples, loop=closed(), waits=500).state == "valid"


def test_failed_requests_have_no_latency_but_timeouts_do():
    outcome = np.where(np.arange(N) < 100, Outcome.WRONG_STATUS, Outcome.OK)
    outcome[100:200] = Outcome.TIMEOUT
    samples = made_samples(np.where(np.arange(N) < 100, 0.1, 20.0), outcome=outcome)
    run = summarised(OPEN, samples)
    assert run.errors == {"wrong status": 100, "timeout": 100}
    assert len(samples.latency_ms) == 900
    assert samples.latency_ms.min() == 20
