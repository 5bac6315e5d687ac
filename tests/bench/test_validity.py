"""When a measurement is called noisy, and that the reason is named."""

import psutil
import pytest

from bench.messages import WarmUp
from bench.validity import LoadMeter, judge_case, judge_load, verdict

WARM = WarmUp(runs=10, seconds=1.0, is_stationary=True, window_medians_ms=(1.0,))
STEADY = [[10.0, 10.1, 9.9, 10.0, 10.05, 9.95]] * 6


def test_steady_samples_are_valid():
    assert str(judge_case(STEADY, WARM)) == "valid"


@pytest.mark.parametrize(
    ("rounds_ms", "reason"),
    [
        ([[10.0] * 6] * 3, "only 18 samples, 30 are the least"),
        ([[10.0] * 6, [10.0] * 6, [10.5] * 6, [10.5] * 6, [11.0] * 6, [11.0] * 6], "drifted by +10%"),
        ([[5.0, 5.0, 5.0, 15.0, 15.0, 15.0]] * 6, "standard deviation is 51% of the mean"),
    ],
)
def test_noise_is_named(rounds_ms, reason):
    judged = judge_case(rounds_ms, WARM)
    assert judged.state == "noisy"
    assert len(judged.reasons) == 1
    assert reason in str(judged)


def test_a_warm_up_that_hit_its_cap_is_named():
    judged = judge_case(STEADY, WARM.model_copy(update={"is_stationary": False}))
    assert str(judged) == "noisy: not stationary after 10 warm-up runs (1.0 s)"


def test_load_by_others_is_a_reason_and_an_unknown_load_is_none():
    assert judge_load(0.2) == ["other processes used 20% of the CPUs meanwhile"]
    assert judge_load(0.05) == judge_load(None) == []
    assert verdict(judge_load(None)).state == "valid"


class Machine:
    """CPU times of the whole machine and of this process, as the test sets them."""

    def __init__(self, monkeypatch):
        self.user, self.idle, self.iowait, self.own = 100.0, 500.0, 0.0, 10.0
        fields = type(psutil.cpu_times())
        zeros = dict.fromkeys(fields._fields, 0.0)
        monkeypatch.setattr(
            psutil,
            "cpu_times",
            lambda: fields(**{**zeros, "user": self.user, "idle": self.idle, "iowait": self.iowait}),
        )
        times = psutil.Process().cpu_times()
        monkeypatch.setattr(psutil.Process, "cpu_times", lambda _: times._replace(user=self.own, system=0.0))


def test_load_is_what_neither_this_process_nor_its_workers_used(monkeypatch):
    machine = Machine(monkeypatch)
    meter = LoadMeter([])
    machine.user, machine.idle, machine.iowait, machine.own = 106.0, 513.0, 1.0, 12.0
    assert meter.others() == pytest.approx((6 - 2) / 20)


def test_load_is_unknown_where_the_machine_does_not_count(monkeypatch):
    Machine(monkeypatch)
    assert LoadMeter([]).others() is None
