"""Energy per image, from counters of the hardware: RAPL for the CPU packages, NVML for a GPU's board."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modelpack.settings import StrictModel

POWERCAP = Path("/sys/class/powercap")
RAPL = "CPU packages (RAPL)"
MICRO = 1e6
RULE = (
    "counted by the hardware over whole visits, idle power included, over all images of those visits, "
    "unrecorded runs included"
)
"""What the figure means; RAPL leaves out memory modules, fans and the power supply."""


class Energy(StrictModel):
    """What one image cost at one counter, or why that is not known."""

    source: str
    joules_per_image: float | None
    note: str = ""


@dataclass(frozen=True)
class EnergyCounter:
    """A counter that only goes up."""

    source: str
    read_joules: Callable[[], float] | None
    """None: it cannot be read, and `note` says why."""
    note: str = ""


class EnergyMeter:
    """Adds up what one case cost over its visits."""

    def __init__(self, counter: EnergyCounter) -> None:
        self._counter = counter
        self._start_joules = self._joules = 0.0
        self._images = 0

    def start(self) -> None:
        if self._counter.read_joules:
            self._start_joules = self._counter.read_joules()

    def stop(self, images: int) -> None:
        """End of a visit in which `images` went through."""
        if self._counter.read_joules:
            self._joules += self._counter.read_joules() - self._start_joules
            self._images += images

    def energy(self) -> Energy:
        if not self._images:
            return Energy(source=self._counter.source, joules_per_image=None, note=self._counter.note)
        return Energy(source=self._counter.source, joules_per_image=self._joules / self._images)


def rapl_counter(powercap: Path = POWERCAP) -> EnergyCounter:
    """All CPU packages of this machine together. Linux on Intel and AMD, as a rule for root alone."""
    zones = [zone for zone in sorted(powercap.glob("intel-rapl:*")) if _is_package(zone)]
    if not zones:
        return EnergyCounter(RAPL, None, f"no CPU package counts its energy in {powercap}")
    try:
        packages = [_WrappingCounter(zone) for zone in zones]
    except OSError as error:
        return EnergyCounter(RAPL, None, f"{error.filename} cannot be read: {error.strerror}")
    return EnergyCounter(RAPL, lambda: sum(package.joules() for package in packages))


class _WrappingCounter:
    """A RAPL zone: microjoules that start again at zero beyond a stated range.

    Right as long as it is read once per turn, which takes minutes even at full power.
    """

    def __init__(self, zone: Path) -> None:
        self._file = zone / "energy_uj"
        self._range_uj = int((zone / "max_energy_range_uj").read_text())
        self._last_uj = int(self._file.read_text())
        self._total_uj = 0

    def joules(self) -> float:
        now_uj = int(self._file.read_text())
        self._total_uj += (now_uj - self._last_uj) % (self._range_uj + 1)
        self._last_uj = now_uj
        return self._total_uj / MICRO


def _is_package(zone: Path) -> bool:
    """Not `psys` (the whole board), nor a part of a package such as `core` or `dram`."""
    name = zone / "name"
    return zone.name.count(":") == 1 and name.is_file() and name.read_text().startswith("package")
