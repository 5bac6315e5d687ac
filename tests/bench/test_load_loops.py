"""Open loops count from the intended send, closed loops do not; both on a clock of their own."""

import asyncio

import numpy as np
import pytest

from bench.load.loops import open_loop
from bench.load.samples import Outcome, Samples
from bench.selftest.fake_lanes import LoadBehaviour, ideal_latency_ms
from tests.bench.load_runs import ALONE, TIMEOUT_S, closed, opened, sent_through, summarised
from tests.bench.virtual_time import VirtualServer, in_virtual_time

SERVICE_MS, STALL_MS = 5.0, 500.0
STALLING = LoadBehaviour(service_ms=SERVICE_MS, stall_request=300, stall_ms=STALL_MS)
STEADY = LoadBehaviour(service_ms=SERVICE_MS)
ROUNDING_MS = 1e-3
"""asyncio keeps time as a float."""


def test_an_open_loop_counts_what_a_stall_keeps_waiting():
    loop = opened(rate=100, seconds=10)
    samples = sent_through(loop, STALLING)
    ideal = ideal_latency_ms(STALLING, loop.offsets_ns().tolist())
    np.testing.assert_allclose(np.sort(samples.latency_ms), np.sort(ideal), atol=ROUNDING_MS)
    assert np.percentile(samples.latency_ms, 95) > STALL_MS / 2


def test_a_closed_loop_does_not_see_the_same_stall():
    samples = sent_through(closed(clients=1, seconds=10), STALLING)
    assert np.percentile(samples.latency_ms, 99) == pytest.approx(SERVICE_MS, abs=ROUNDING_MS)
    assert (samples.latency_ms > STALL_MS).sum() == 1


def test_timing_from_the_actual_send_hides_what_the_generator_waited():
    """Three arrivals at once to a generator that takes 20 ms for each."""

    async def work(virtual):
        async def slow_wait(when_ns):
            await virtual.wait_until(when_ns)
            virtual.now_ns += 20_000_000

        server = VirtualServer(LoadBehaviour(service_ms=1, lanes=0), virtual)
        loop = opened(rate=1000, seconds=0.003)
        recorder = await open_loop(loop, server, 0, ALONE, TIMEOUT_S, slow_wait, virtual.clock)
        return recorder.samples(0)

    samples = in_virtual_time(work)
    assert samples.service_ms == pytest.approx([1, 1, 1], abs=ROUNDING_MS)
    assert samples.latency_ms.max() > 50
    assert samples.lag_ms.max() > 50


def test_a_generator_that_cannot_keep_up_spoils_the_run():
    """It needs 2 ms for each query and is to send one every millisecond."""

    async def work(virtual):
        async def slow_wait(when_ns):
            await virtual.wait_until(when_ns)
            virtual.now_ns += 2_000_000

        server = VirtualServer(STEADY.model_copy(update={"lanes": 0}), virtual)
        loop = opened(rate=1000, seconds=1)
        recorder = await open_loop(loop, server, 0, ALONE, TIMEOUT_S, slow_wait, virtual.clock)
        return recorder.samples(0)

    run = summarised(opened(rate=1000, seconds=1), in_virtual_time(work))
    assert run.verdict.state == "invalid"
    assert run.verdict.generator_faults
    assert "the generator was late" in str(run.verdict)


def test_processes_share_an_open_loop_without_gap_or_overlap():
    loop = opened(rate=50, seconds=2, arrivals="poisson")
    parts = [sent_through(loop, STEADY, share=(index, 3)) for index in range(3)]
    merged = Samples.merged(parts)
    np.testing.assert_array_equal(merged.intended_ns, loop.offsets_ns())
    assert abs(len(parts[0]) - len(parts[2])) <= 1


def test_processes_share_the_clients_of_a_closed_loop():
    lanes = LoadBehaviour(service_ms=10, lanes=0)
    lengths = [len(sent_through(closed(clients=5, seconds=1), lanes, share=(i, 2))) for i in range(2)]
    assert lengths == [300, 200]


@pytest.mark.parametrize("loop", [opened(warm_up_seconds=2, seconds=3), closed(warm_up_seconds=2, seconds=3)])
def test_the_warm_up_loads_and_is_not_recorded(loop):
    whole = sent_through(loop.model_copy(update={"warm_up_seconds": 0.0, "seconds": 5.0}), STEADY)
    samples = sent_through(loop, STEADY)
    assert samples.intended_ns.min() >= 0
    assert len(samples) == pytest.approx(len(whole) * 3 / 5, abs=2)


def test_a_closed_loop_goes_on_until_it_has_enough_queries():
    assert len(sent_through(closed(seconds=0.1, min_queries=77), STEADY)) == 77


@pytest.mark.parametrize("limit", [{"max_requests": 5}, {"max_seconds": 0.0249}])
def test_a_closed_loop_is_bounded_in_count_and_time(limit):
    assert len(sent_through(closed(seconds=10, min_queries=1000, **limit), STEADY)) == 5


def test_a_request_is_given_up_after_its_timeout_and_counts_with_the_time_waited():
    samples = sent_through(opened(rate=10, seconds=10), STALLING.model_copy(
        update={"stall_request": 20, "stall_ms": 1e6}), timeout_s=0.3)  # fmt: skip
    assert (samples.outcome == Outcome.TIMEOUT).sum() == 80
    assert samples.latency_ms.max() == pytest.approx(300, abs=ROUNDING_MS)
    assert len(samples.latency_ms) == 100


def test_queries_of_several_samples_take_the_next_ones_in_turn():
    async def work(virtual):
        from bench.load.loops import closed_loop

        server = VirtualServer(STEADY, virtual)
        loop = closed(seconds=0.0, min_queries=3, samples_per_query=4)
        await closed_loop(loop, server, 0, ALONE, TIMEOUT_S, virtual.clock)
        return server.samples_sent

    assert in_virtual_time(work) == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11)]


def test_the_timer_wakes_in_order_and_at_once_when_late():
    from time import monotonic_ns

    from bench.load.timer import Timer

    async def woken():
        with Timer() as timer:
            begin = monotonic_ns()
            for after_ns in (2_000_000, 1_000_000, 3_000_000):
                await timer.wait_until(begin + after_ns)
                assert monotonic_ns() >= begin + after_ns
            return True

    assert asyncio.run(asyncio.wait_for(woken(), 30))
