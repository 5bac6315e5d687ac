"""How the bars of `bench serve` are judged, on visits of known figures."""

import pytest

from bench.service.bars import bars_for
from bench.service.contestants import OURS
from bench.service.heats import rotated
from bench.service.over_rounds import over_rounds
from tests.bench.service_runs import BEST, NAMES, judged, rounds


def test_throughput_is_the_ratio_within_each_round():
    bar = judged("ours-4-of-in-process", rounds())
    assert (bar.value, bar.state, bar.is_clear) == (pytest.approx(0.95), "met", True)
    assert judged("ours-16-of-naive", rounds()).value == pytest.approx(95 / 80)


def test_a_bar_that_is_not_reached_is_missed():
    bar = judged("ours-16-of-in-process", rounds(**{"ours/closed-16": {"per_second": 80.0}}))
    assert (bar.state, bar.value, bar.limit) == ("missed", pytest.approx(0.8), 0.85)


def test_the_tail_is_compared_with_the_naive_endpoints():
    assert judged("p99-4", rounds(**{"ours/closed-4": {"latency_ms": 9.0}})).value == pytest.approx(0.9)
    assert judged("p99-4", rounds(**{"ours/closed-4": {"latency_ms": 11.0}})).state == "missed"


def test_the_open_loop_may_take_a_fifth_and_two_milliseconds_more():
    one_image_ms = {"in-process-1x1/closed-1": {"latency_ms": 5.0}}
    for took_ms, state in ((8.0, "met"), (8.1, "missed")):
        assert (
            judged("open-p50", rounds(**one_image_ms, **{"ours/open": {"latency_ms": took_ms}})).state
            == state
        )


def test_memory_is_the_most_under_any_load():
    bar = judged("memory", rounds(**{"ours/closed-16": {"memory_mb": 221.0}}))
    assert (bar.value, bar.unit, bar.state) == (pytest.approx(221), "MB", "missed")


def test_memory_is_a_bar_for_two_workers_only():
    names = {bar.name for bar in bars_for(BEST, NAMES, workers=4, network="")}
    assert "memory" not in names


@pytest.mark.parametrize(("network", "is_judged"), [("deeplabv3_resnet18", True), ("smp:FPN/mit_b0", False)])
def test_int8_is_a_bar_for_resnet18_only(network, is_judged):
    names = {bar.name for bar in bars_for(BEST, NAMES, workers=2, network=network)}
    assert ("ours-int8-4-of-naive" in names) is is_judged


def test_rounds_that_the_generator_spoiled_are_left_out_and_told():
    bar = judged("ours-4-of-naive", rounds(late=[(1, OURS, "closed-4")]))
    assert (bar.state, bar.rounds) == ("met", 3)
    assert bar.reasons == ("round 2, ours closed-4: the generator was late",)


def test_too_many_spoiled_rounds_make_the_bar_invalid():
    bar = judged("ours-4-of-naive", rounds(late=[(number, "naive", "closed-4") for number in range(3)]))
    assert (bar.state, bar.value, bar.is_clear) == ("invalid", None, False)


def test_a_late_generator_cannot_spoil_what_is_met_in_spite_of_it():
    late = [(number, OURS, "open") for number in range(4)]
    slow = {"ours/open": {"latency_ms": 1000.0}}
    assert judged("open-p50", rounds(late=late)).state == "met"
    assert judged("open-p50", rounds(late=late, **slow)).state == "invalid"


def test_the_interval_holds_the_rounds_and_the_figure():
    estimate = over_rounds([1.0, 2.0, 3.0, 4.0], lambda drawn: sum(drawn) / len(drawn), seed=0)
    assert 1 <= estimate.lower < estimate.value == 2.5 < estimate.upper <= 4


def test_nobody_is_always_first():
    assert [rotated("abc", number) for number in range(4)] == [
        list(word) for word in ("abc", "bca", "cab", "abc")
    ]
