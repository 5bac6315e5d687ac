"""The GPU's clocks, temperature, throttling and energy, read through NVML between two visits.

Not read while the clock runs: a query takes locks of the driver that a running call may be waiting for.
"""

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from bench.energy import EnergyCounter
from modelpack.errors import RuntimeUnavailableError
from modelpack.settings import StrictModel

Value = TypeVar("Value")

THROTTLE_BITS = {
    0x004: "power cap",
    0x008: "hardware slowdown",
    0x010: "sync boost",
    0x020: "thermal slowdown",
    0x040: "hardware thermal slowdown",
    0x080: "power brake",
}
"""NVML's clock event reasons that slow a GPU; the rest (idle, clocks that somebody set) are no throttling."""
CORE, MEMORY = 1, 2
"""NVML_CLOCK_SM and NVML_CLOCK_MEM."""
DIE_SENSOR = 0
"""NVML_TEMPERATURE_GPU."""
MILLI = 1000.0
GPU_BOARD = "GPU board (NVML)"


class GpuReading(StrictModel):
    """One look at the GPU; None for what this GPU or its driver does not tell."""

    core_clock_mhz: int | None
    memory_clock_mhz: int | None
    temperature_c: int | None
    power_w: float | None
    throttled_by: tuple[str, ...]
    process_memory_bytes: int | None
    """Device memory of the worker's process; NVML does not know it in most containers."""


@dataclass(frozen=True)
class GpuProbe:
    """One GPU as NVML sees it."""

    nvml: Any
    """The module `pynvml`."""
    handle: Any

    @classmethod
    def open(cls, nvml: Any = None) -> Self:
        """The first GPU that CUDA may use. Raises RuntimeUnavailableError, saying what is missing."""
        try:
            nvml = nvml or importlib.import_module("pynvml")
        except ImportError as error:
            raise RuntimeUnavailableError("NVML is not read: pip install nvidia-ml-py") from error
        try:
            nvml.nvmlInit()
            return cls(nvml, _visible_device(nvml))
        except nvml.NVMLError as error:
            raise RuntimeUnavailableError(f"NVML finds no GPU: {error}") from error

    def read(self, pid: int) -> GpuReading:
        """`pid` is the worker whose device memory is asked for."""
        nvml, handle = self.nvml, self.handle
        bits = self._ask(lambda: int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))) or 0
        milliwatts = self._ask(lambda: float(nvml.nvmlDeviceGetPowerUsage(handle)))
        return GpuReading(
            core_clock_mhz=self._ask(lambda: int(nvml.nvmlDeviceGetClockInfo(handle, CORE))),
            memory_clock_mhz=self._ask(lambda: int(nvml.nvmlDeviceGetClockInfo(handle, MEMORY))),
            temperature_c=self._ask(lambda: int(nvml.nvmlDeviceGetTemperature(handle, DIE_SENSOR))),
            power_w=None if milliwatts is None else milliwatts / MILLI,
            throttled_by=tuple(name for bit, name in THROTTLE_BITS.items() if bits & bit),
            process_memory_bytes=self._ask(lambda: self._memory_of(pid)),
        )

    def energy_counter(self) -> EnergyCounter:
        """Joules of the whole board since its driver was loaded."""

        def joules() -> float:
            return float(self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle)) / MILLI

        if self._ask(joules) is None:
            return EnergyCounter(GPU_BOARD, None, "this GPU does not count its energy")
        return EnergyCounter(GPU_BOARD, joules)

    def _memory_of(self, pid: int) -> int | None:
        for process in self.nvml.nvmlDeviceGetComputeRunningProcesses(self.handle):
            if process.pid == pid and process.usedGpuMemory is not None:
                return int(process.usedGpuMemory)
        return None

    def _ask(self, question: Callable[[], Value]) -> Value | None:
        try:
            return question()
        except self.nvml.NVMLError:
            return None


def _visible_device(nvml: Any) -> Any:
    """CUDA's first device: NVML itself does not heed CUDA_VISIBLE_DEVICES."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0].strip() or "0"
    if first.isdigit():
        return nvml.nvmlDeviceGetHandleByIndex(int(first))
    return nvml.nvmlDeviceGetHandleByUUID(first)
