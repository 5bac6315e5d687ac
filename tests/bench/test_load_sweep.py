"""The search finds the known capacity of a server, and tells every step."""

import numpy as np
import pytest

from bench.load.config import Bound, SweepConfig
from bench.load.result import SweepStep
from bench.load.samples import Outcome
from bench.load.sweep import judge_step, step_seconds, sweep
from bench.selftest.fake_lanes import LoadBehaviour
from tests.bench.load_runs import made_samples, opened, sent_through, summarised

ONE_LANE = LoadBehaviour(service_ms=5)
CAPACITY = 200.0
P99 = Bound(percent=99, milliseconds=50)
SHORT = SweepConfig(bounds=(P99,), step_seconds=5)


def config(**changes):
    return SweepConfig(bounds=(P99,), **changes)


def step(purpose, rate, keeps, is_generators_fault=False):
    return SweepStep(
        purpose=purpose,
        rate=rate,
        run=f"open-{rate}",
        keeps_bounds=keeps,
        is_generators_fault=is_generators_fault,
        reasons=() if keeps else ("too slow",),
    )


def threshold(limit):
    return lambda purpose, rate: step(purpose, rate, rate <= limit)


def on_one_lane(arrivals):
    def attempt(purpose, rate):
        loop = opened(rate=rate, seconds=step_seconds(SHORT, rate), arrivals=arrivals)
        run = summarised(loop, sent_through(loop, ONE_LANE))
        reasons = tuple(judge_step((P99,), run))
        return step(purpose, rate, not reasons).model_copy(update={"reasons": reasons})

    return attempt


def test_constant_arrivals_reach_the_capacity_of_one_lane():
    found = sweep(SHORT, 40, on_one_lane("constant"))
    assert CAPACITY / 1.06 <= found.best_rate <= CAPACITY * 1.02


def test_poisson_arrivals_reach_less_because_they_queue():
    found = sweep(SHORT, 40, on_one_lane("poisson"))
    assert 0.7 * CAPACITY < found.best_rate < CAPACITY


@pytest.mark.parametrize("limit", [3.3, 47.0, 48.0, 1234.5])
@pytest.mark.parametrize("start", [10.0, 400.0])
def test_the_answer_is_the_threshold_within_the_resolution(limit, start):
    settings = config(resolution=0.05, max_steps=60, max_step_seconds=1000)
    found = sweep(settings, start, threshold(limit))
    assert limit / 1.0501 <= found.best_rate <= limit
    assert found.lowest_failing > limit
    assert found.note == ""


def test_the_answer_was_confirmed_as_often_as_asked():
    found = sweep(config(confirmations=4), 30, threshold(100))
    confirmed = [entry for entry in found.steps if entry.purpose == "confirm"]
    assert [entry.rate for entry in confirmed] == [found.best_rate] * 4


def test_a_rate_that_fails_its_confirmation_is_not_the_answer():
    lucky = iter([True])

    def attempt(purpose, rate):
        keeps = rate <= 80 or (90 < rate <= 100 and purpose != "confirm" and next(lucky, False))
        return step(purpose, rate, keeps)

    found = sweep(config(max_steps=60), 95, attempt)
    assert found.best_rate <= 80
    assert any(entry.purpose == "confirm" and not entry.keeps_bounds for entry in found.steps)


def test_a_search_without_end_says_so():
    found = sweep(config(max_steps=5), 10, threshold(1e9))
    assert found.best_rate is None
    assert len(found.steps) == 5
    assert "ended after 5 steps without a confirmed rate; 65.54 passed once" in found.note


def test_a_server_that_keeps_no_bound_has_no_rate():
    found = sweep(config(max_steps=60), 100, threshold(0))
    assert found.best_rate is None
    assert "no rate down to" in found.note
    assert len(found.steps) < 60


def test_a_generator_that_spoils_every_step_ends_the_search():
    found = sweep(config(), 100, lambda purpose, rate: step(purpose, rate, False, is_generators_fault=True))
    assert found.best_rate is None
    assert "the generator spoiled all of the first 3 steps" in found.note
    assert len(found.steps) == 3


def test_a_rate_that_the_generator_could_not_send_is_no_fault_of_the_server():
    def attempt(purpose, rate):
        return step(purpose, rate, rate <= 100, is_generators_fault=rate > 100)

    assert "for the generator's sake" in sweep(config(), 30, attempt).note


def test_a_step_lasts_long_enough_for_its_percentile():
    settings = config(step_seconds=10, max_step_seconds=60)
    assert step_seconds(settings, 1000) == 10
    assert step_seconds(settings, 20) == pytest.approx(27.5)
    assert step_seconds(settings, 1) == 60


def test_a_late_generator_breaks_no_bound_that_is_kept_all_the_same():
    """Latency counts from the intended send: what the generator adds is in it."""
    late = summarised(opened(), made_samples(np.full(1000, 40.0), lag_ms=30))
    assert late.verdict.generator_faults
    assert list(judge_step((P99,), late)) == []


def test_failures_break_every_bound():
    outcome = np.where(np.arange(1000) < 10, Outcome.WRONG_STATUS, Outcome.OK)
    failing = summarised(opened(), made_samples(np.full(1000, 5.0), outcome=outcome))
    assert any("queries failed" in reason for reason in judge_step((P99,), failing))


def test_too_few_samples_break_a_bound():
    few = summarised(opened(), made_samples(np.full(100, 5.0)))
    assert list(judge_step((P99,), few)) == ["p99: n too small for p99 (needs 500)"]
