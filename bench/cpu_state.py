"""The CPU's clock and throttling, as far as Linux tells; None for what it does not."""

from pathlib import Path

from modelpack.settings import StrictModel

SYSFS = Path("/sys/devices/system/cpu")
CPUINFO = Path("/proc/cpuinfo")
KHZ_PER_MHZ = 1000.0


class CpuPolicy(StrictModel):
    """Who decides on the clock."""

    governor: str | None
    is_turbo_on: bool | None


class CpuProbe:
    """The CPUs of this machine."""

    def __init__(self, sysfs: Path = SYSFS, cpuinfo: Path = CPUINFO) -> None:
        self._sysfs, self._cpuinfo = sysfs, cpuinfo

    def clock_mhz(self) -> float | None:
        """Of the fastest core just now: the others may be idle. A virtual machine tells a constant."""
        clocks_khz = self._counts("cpufreq/scaling_cur_freq")
        if clocks_khz:
            return max(clocks_khz) / KHZ_PER_MHZ
        if not self._cpuinfo.is_file():
            return None
        lines = self._cpuinfo.read_text(encoding="utf-8").splitlines()
        clocks_mhz = [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
        return max(clocks_mhz, default=None)

    def throttle_events(self) -> int | None:
        """How often any core was slowed for heat since the machine started."""
        counts = self._counts("thermal_throttle/core_throttle_count")
        return sum(counts) if counts else None

    def policy(self) -> CpuPolicy:
        governors = sorted(set(self._texts("cpufreq/scaling_governor")))
        no_turbo, boost = self._sysfs / "intel_pstate/no_turbo", self._sysfs / "cpufreq/boost"
        is_turbo_on = None
        if no_turbo.is_file():
            is_turbo_on = no_turbo.read_text().strip() == "0"
        elif boost.is_file():
            is_turbo_on = boost.read_text().strip() == "1"
        return CpuPolicy(governor=", ".join(governors) or None, is_turbo_on=is_turbo_on)

    def _counts(self, name: str) -> list[int]:
        return [int(text) for text in self._texts(name) if text.isdigit()]

    def _texts(self, name: str) -> list[str]:
        """The contents of a file that every core has."""
        return [file.read_text().strip() for file in sorted(self._sysfs.glob(f"cpu[0-9]*/{name}"))]
