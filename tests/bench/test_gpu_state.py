"""What is read from NVML, on a GPU that the test sets."""

import pytest

from bench.gpu_state import GpuProbe
from modelpack.errors import RuntimeUnavailableError
from tests.bench.fake_nvml import FakeNvml

PID = 4711


def test_clocks_temperature_power_and_memory_of_the_worker_are_read():
    reading = GpuProbe.open(FakeNvml(memory={1: 5, PID: 1 << 30})).read(PID)
    assert (reading.core_clock_mhz, reading.memory_clock_mhz) == (1980, 2619)
    assert (reading.temperature_c, reading.power_w) == (61, 412.5)
    assert reading.process_memory_bytes == 1 << 30


@pytest.mark.parametrize(
    ("bits", "causes"),
    [
        (0x0, ()),
        (0x1, ()),  # idle
        (0x2, ()),  # clocks that somebody set
        (0x4, ("power cap",)),
        (0x20 | 0x40, ("thermal slowdown", "hardware thermal slowdown")),
    ],
)
def test_only_what_slows_the_gpu_is_throttling(bits, causes):
    assert GpuProbe.open(FakeNvml(reasons=bits)).read(PID).throttled_by == causes


def test_what_a_gpu_does_not_tell_is_null():
    silent = FakeNvml(
        missing={"nvmlDeviceGetPowerUsage", "nvmlDeviceGetTemperature", "nvmlDeviceGetClockInfo"}
    )
    reading = GpuProbe.open(silent).read(PID)
    assert (reading.power_w, reading.temperature_c, reading.core_clock_mhz) == (None, None, None)
    assert reading.process_memory_bytes is None


def test_energy_is_in_joules_and_absent_where_the_gpu_does_not_count():
    nvml = FakeNvml(joules=1.5)
    counter = GpuProbe.open(nvml).energy_counter()
    nvml.joules = 4.0
    assert counter.read_joules() == 4.0
    silent = GpuProbe.open(FakeNvml(missing={"nvmlDeviceGetTotalEnergyConsumption"})).energy_counter()
    assert silent.read_joules is None
    assert "does not count" in silent.note


@pytest.mark.parametrize(
    ("visible", "opened"), [(None, 0), ("", 0), ("3,1", 3), ("GPU-8f2a,GPU-11", "GPU-8f2a")]
)
def test_the_gpu_is_the_one_that_cuda_uses_first(monkeypatch, visible, opened):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    nvml = FakeNvml()
    GpuProbe.open(nvml)
    assert nvml.opened == opened


def test_a_machine_without_nvml_is_said_to_have_none():
    with pytest.raises(RuntimeUnavailableError, match="NVML finds no GPU: Not Supported"):
        GpuProbe.open(FakeNvml(missing={"nvmlInit"}))
