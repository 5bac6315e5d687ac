"""The self-test's checks of `bench load`: a right tool passes, a tool with a known fault does not."""

import numpy as np
import pytest

from bench.selftest import load_checks
from bench.selftest.fake_lanes import FakeLanes, LoadBehaviour, ideal_latency_ms
from bench.selftest.fake_process import Record
from bench.selftest.load_checks import LOAD_CHECKS, Loaded
from bench.statistics import percentile_interval
from bench.timing import NS_PER_MS
from tests.bench.load_runs import closed, opened, sent_through, summarised

CACHED = (load_checks._stalled_open, load_checks._stalled_closed, load_checks._jittered)


def exact(behaviour, *, clients=(), rates=(), seconds, arrivals="poisson"):
    """What a perfect tool says of a perfect server, and that server's record."""
    if rates:
        loop = opened(rate=rates[0], seconds=seconds, arrivals=arrivals)
    else:
        loop = closed(clients=clients[0], seconds=seconds)
    samples = sent_through(loop, behaviour)
    if behaviour.fail_every:
        fails = [behaviour.fails(number) for number in range(len(samples))]
        samples.outcome[:] = np.array(fails, np.uint8)
    return Loaded(summarised(loop, samples), behaviour, Record(samples.sent_ns, samples.done_ns))


def timed_from_the_send(*args, **kwargs):
    """A tool that waits for the server before it looks at the clock: every latency is the service alone."""
    loaded = exact(*args, **kwargs)
    steady_ms = np.full(loaded.run.queries, loaded.behaviour.service_ms)
    blind = tuple(percentile_interval(steady_ms, entry.percent) for entry in loaded.run.latency)
    run = loaded.run.model_copy(update={"latency": blind, "max_ms": loaded.behaviour.service_ms})
    return Loaded(run, loaded.behaviour, loaded.record)


def forgetful(*args, **kwargs):
    """A tool that drops what failed without a word."""
    loaded = exact(*args, **kwargs)
    return Loaded(loaded.run.model_copy(update={"errors": {}}), loaded.behaviour, loaded.record)


def too_fast(*args, **kwargs):
    """A tool that counts a tenth more answers than there were."""
    loaded = exact(*args, **kwargs)
    run = loaded.run.model_copy(update={"ok_per_second": loaded.run.ok_per_second * 1.1})
    return Loaded(run, loaded.behaviour, loaded.record)


@pytest.fixture
def judged(monkeypatch):
    """Names of the checks that fail for a tool."""

    def judge(tool):
        monkeypatch.setattr(load_checks, "_loaded", tool)
        for cached in CACHED:
            cached.cache_clear()
        return {check.__name__ for check in LOAD_CHECKS if not check().ok}

    yield judge
    for cached in CACHED:
        cached.cache_clear()


def test_a_right_tool_passes_every_check(judged):
    assert judged(exact) == set()


def test_a_tool_that_omits_what_waits_fails_at_the_stall(judged):
    assert judged(timed_from_the_send) >= {
        "open_p99_through_a_stall",
        "open_maximum_through_a_stall",
        "closed_p99_is_blind_to_the_stall",
        "jitter_median",
    }


def test_a_tool_that_hides_errors_fails_at_the_errors(judged):
    assert judged(forgetful) == {"errors_are_counted"}


def test_a_tool_that_counts_too_much_fails_at_the_capacity(judged):
    assert judged(too_fast) == {"capacity_of_one_lane"}


def test_one_lane_serves_in_order_and_one_at_a_time():
    lanes = FakeLanes(LoadBehaviour(service_ms=10))
    done_ms = [lanes.done_ns(int(at * NS_PER_MS)) / NS_PER_MS for at in (0, 1, 2, 50)]
    assert done_ms == [10, 20, 30, 60]


def test_two_lanes_serve_two_at_a_time_and_no_lanes_serve_all():
    came_ns = [0, 0, 0]
    assert ideal_latency_ms(LoadBehaviour(service_ms=10, lanes=2), came_ns).tolist() == [10, 10, 20]
    assert ideal_latency_ms(LoadBehaviour(service_ms=10, lanes=0), came_ns).tolist() == [10, 10, 10]


def test_a_stall_holds_every_lane_once():
    behaviour = LoadBehaviour(service_ms=10, lanes=2, stall_request=2, stall_ms=100)
    came_ns = [0, 0, int(20 * NS_PER_MS), int(20 * NS_PER_MS), int(500 * NS_PER_MS)]
    assert ideal_latency_ms(behaviour, came_ns).tolist() == [10, 10, 110, 110, 10]


def test_jitter_has_the_planted_mean():
    jitter_ms = np.array(LoadBehaviour(service_ms=5, jitter_ms=10).service_ns()) / NS_PER_MS - 5
    assert jitter_ms.mean() == pytest.approx(10, rel=0.02)
    assert jitter_ms.std() == pytest.approx(10, rel=0.02)
