"""What the machine did while it was measured: clocks after every visit, energy, throttling, stolen time."""

from typing import Self

from bench.cpu_state import CpuPolicy, CpuProbe
from bench.energy import EnergyCounter, EnergyMeter, rapl_counter
from bench.gpu_state import GPU_BOARD, GpuProbe, GpuReading
from modelpack.errors import RuntimeUnavailableError
from modelpack.settings import StrictModel

ON_GPU = "cuda"
"""How the devices of sessions on a GPU begin."""


class MachineReading(StrictModel):
    """The machine right after one visit of one case."""

    cpu_clock_mhz: float | None
    """Of the fastest core."""
    gpu: GpuReading | None
    """None for a session on the CPU, and where NVML cannot be read."""


class MachineState(StrictModel):
    """The machine over the whole measurement; None for what it does not tell."""

    cpu_policy: CpuPolicy
    cpu_throttle_events: int | None
    """How often a core was slowed for heat."""
    stolen_share: float | None
    """Share of all CPU time that the hypervisor gave to others."""
    gpu_note: str = ""
    """Why a session on a GPU has no readings of it."""


class MachineWatch:
    """Reads the probes between visits, never while a clock runs."""

    def __init__(
        self, cpu: CpuProbe, cpu_energy: EnergyCounter, gpu: GpuProbe | None, gpu_note: str = ""
    ) -> None:
        self._cpu, self._cpu_energy, self._gpu, self._gpu_note = cpu, cpu_energy, gpu, gpu_note
        self._throttle_events = cpu.throttle_events()

    @classmethod
    def of_this_machine(cls) -> Self:
        gpu, gpu_note = None, ""
        try:
            gpu = GpuProbe.open()
        except RuntimeUnavailableError as error:
            gpu_note = str(error)
        return cls(CpuProbe(), rapl_counter(), gpu, gpu_note)

    def read(self, pid: int, device: str) -> MachineReading:
        """Right after a visit of the worker `pid`, which computes on `device`."""
        gpu = self._gpu.read(pid) if self._gpu and device.startswith(ON_GPU) else None
        return MachineReading(cpu_clock_mhz=self._cpu.clock_mhz(), gpu=gpu)

    def energy_meters(self, device: str) -> list[EnergyMeter]:
        """Fresh meters for one case: the CPU's, and the GPU's for a session there."""
        counters = [self._cpu_energy]
        if device.startswith(ON_GPU):
            unread = EnergyCounter(GPU_BOARD, None, self._gpu_note)
            counters.append(self._gpu.energy_counter() if self._gpu else unread)
        return [EnergyMeter(counter) for counter in counters]

    def state(self, stolen_share: float | None) -> MachineState:
        """Since this watch was made."""
        now, before = self._cpu.throttle_events(), self._throttle_events
        return MachineState(
            cpu_policy=self._cpu.policy(),
            cpu_throttle_events=None if now is None or before is None else now - before,
            stolen_share=stolen_share,
            gpu_note=self._gpu_note,
        )
