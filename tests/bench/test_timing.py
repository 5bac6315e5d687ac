"""Timing and warm-up on a clock that moves only as the test says."""

import gc
from itertools import chain, repeat

import pytest

from bench.config import WarmUpConfig
from bench.timing import time_runs
from bench.warmup import warm_up

MS = 1_000_000


class Work:
    """A call that takes the given milliseconds, one after the other, on its own clock."""

    def __init__(self, durations_ms):
        self._durations_ms = iter(durations_ms)
        self._now_ns = 0
        self.calls = 0

    def __call__(self):
        self.calls += 1
        self._now_ns += int(next(self._durations_ms) * MS)

    def clock(self):
        return self._now_ns


def test_samples_are_what_the_calls_took_without_those_that_settle():
    work = Work([50, 40, 1, 2, 3])
    assert time_runs(work, seconds=1, samples=3, settle_runs=2, clock=work.clock) == [1, 2, 3]


def test_time_budget_counts_recorded_time_only():
    work = Work([500, *repeat(30, 100)])
    assert time_runs(work, seconds=0.1, samples=None, settle_runs=1, clock=work.clock) == [30] * 4


def test_a_call_longer_than_the_budget_is_recorded_once():
    work = Work(repeat(5000))
    assert time_runs(work, seconds=0.1, samples=None, clock=work.clock) == [5000]


def test_garbage_is_not_collected_while_the_clock_runs_and_is_afterwards():
    seen = []
    time_runs(lambda: seen.append(gc.isenabled()), seconds=1, samples=2)
    assert seen == [False, False]
    assert gc.isenabled()


def test_collection_is_switched_on_again_when_the_call_fails():
    with pytest.raises(StopIteration):
        time_runs(Work([]), seconds=1, samples=1)
    assert gc.isenabled()


RULE = WarmUpConfig(window_runs=4, window_seconds=0, windows=3, tolerance=0.03, min_seconds=0, max_seconds=10)


def test_warm_up_ends_when_three_windows_in_a_row_agree():
    cooling = [100] * 4 + [20] * 4 + [10] * 4
    work = Work(chain(cooling, repeat(10)))
    done = warm_up(work, RULE, clock=work.clock)
    assert done.is_stationary
    assert done.runs == work.calls == len(cooling) + 2 * 4
    assert done.window_medians_ms == (100, 20, 10, 10, 10)


def test_warm_up_of_a_drifting_call_stops_at_the_cap_and_says_so():
    work = Work(100 * 1.02**run for run in range(1000))
    done = warm_up(work, RULE, clock=work.clock)
    assert not done.is_stationary
    assert done.seconds >= RULE.max_seconds


def test_one_outlier_in_a_window_does_not_prolong_the_warm_up():
    work = Work(chain([10, 90, 10, 10], repeat(10)))
    assert warm_up(work, RULE, clock=work.clock).runs == 3 * 4


def test_windows_of_quick_calls_last_their_minimum_time():
    work = Work(repeat(1))
    done = warm_up(work, RULE.model_copy(update={"window_seconds": 0.05}), clock=work.clock)
    assert done.runs == 3 * 50


def test_slow_calls_in_a_row_do_not_end_the_warm_up_before_its_minimum_time():
    work = Work(chain([30] * 12, repeat(10)))
    done = warm_up(work, RULE.model_copy(update={"min_seconds": 0.5}), clock=work.clock)
    assert done.window_medians_ms[-3:] == (10, 10, 10)
    assert done.seconds >= 0.5
