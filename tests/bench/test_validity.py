"""When a measurement is called noisy, and that the reason is named."""

import psutil
import pytest

from bench.cpu_state import CpuPolicy
from bench.gpu_state import GpuReading
from bench.machine_watch import MachineReading, MachineState
from bench.messages import WarmUp
from bench.validity import LoadMeter, judge_case, judge_machine, verdict

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


QUIET = MachineState(
    cpu_policy=CpuPolicy(governor=None, is_turbo_on=None), cpu_throttle_events=0, stolen_share=0.0
)


def test_load_by_others_is_a_reason_and_an_unknown_load_is_none():
    assert judge_machine(0.2, QUIET) == ["other processes used 20% of the CPUs meanwhile"]
    assert judge_machine(0.05, QUIET) == judge_machine(None, QUIET) == []
    assert verdict(judge_machine(None, QUIET)).state == "valid"


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"stolen_share": 0.08}, "the hypervisor took 8% of the CPU time"),
        ({"cpu_throttle_events": 3}, "CPU cores were slowed for heat 3 times"),
    ],
)
def test_a_machine_that_was_slowed_is_named(state, reason):
    assert judge_machine(None, QUIET.model_copy(update=state)) == [reason]


def readings(cpu_mhz, gpu_mhz=(), throttled_by=()):
    gpus = [
        GpuReading(
            core_clock_mhz=mhz,
            memory_clock_mhz=2619,
            temperature_c=60,
            power_w=400.0,
            throttled_by=throttled_by,
            process_memory_bytes=None,
        )
        for mhz in gpu_mhz
    ] or [None] * len(cpu_mhz)
    return [MachineReading(cpu_clock_mhz=mhz, gpu=gpu) for mhz, gpu in zip(cpu_mhz, gpus, strict=True)]


@pytest.mark.parametrize(
    ("machine", "reason"),
    [
        (readings([3400, 3400, 2900]), "the CPU clock moved between 2900 and 3400 MHz"),
        (readings([3400] * 3, [1980, 1980, 1200]), "the GPU core clock moved between 1200 and 1980 MHz"),
        (readings([None] * 3, [1980] * 3, ("power cap",)), "throttled by power cap after 3 of 3 visits"),
    ],
)
def test_clocks_that_move_and_throttling_are_named(machine, reason):
    judged = judge_case(STEADY, WARM, machine)
    assert judged.state == "noisy"
    assert len(judged.reasons) == 1
    assert reason in str(judged)


def test_steady_clocks_are_no_reason():
    assert judge_case(STEADY, WARM, readings([3400, 3390, 3400], [1980, 1965, 1980])).state == "valid"


class Machine:
    """CPU times of the whole machine and of this process, as the test sets them."""

    def __init__(self, monkeypatch):
        self.user, self.idle, self.iowait, self.steal, self.own = 100.0, 500.0, 0.0, 0.0, 10.0
        fields = type(psutil.cpu_times())
        zeros = dict.fromkeys(fields._fields, 0.0)
        monkeypatch.setattr(
            psutil,
            "cpu_times",
            lambda: fields(
                **{**zeros, "user": self.user, "idle": self.idle, "iowait": self.iowait, "steal": self.steal}
            ),
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


def test_what_the_hypervisor_takes_is_a_share_of_all_time(monkeypatch):
    machine = Machine(monkeypatch)
    meter = LoadMeter([])
    machine.user, machine.idle, machine.steal = 104.0, 514.0, 2.0
    assert meter.stolen() == pytest.approx(2 / 20)
