"""Whether a figure may be believed: signs of a machine that was busy, warming or throttling meanwhile."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import numpy as np
import psutil

from bench.machine_watch import MachineReading, MachineState
from bench.messages import WarmUp
from modelpack.settings import StrictModel

MIN_SAMPLES = 30
"""Fewer say little even about the median: its interval is then a third of the samples wide."""
MAX_DRIFT = 0.05
"""Change of the median from the first third of the rounds to the last, relative to the first."""
MAX_VARIATION = 0.25
"""Standard deviation relative to the mean."""
MAX_OTHER_LOAD = 0.1
"""Share of all CPUs that other processes (or the hypervisor) used meanwhile."""
MAX_STOLEN = 0.02
"""Share of all CPU time that the hypervisor gave to other machines."""
MAX_CLOCK_CHANGE = 0.1
"""Range of a clock over the visits of one case, relative to its highest."""

RULES = {
    "samples": f"at least {MIN_SAMPLES} per case",
    "warm-up": "stationary before its cap",
    "drift": f"medians of the first and last third of the rounds within {MAX_DRIFT:.0%}",
    "variation": f"standard deviation at most {MAX_VARIATION:.0%} of the mean",
    "other load": f"other processes use at most {MAX_OTHER_LOAD:.0%} of the CPUs, and the hypervisor takes "
    f"at most {MAX_STOLEN:.0%}",
    "clocks": f"those of CPU and GPU after the visits of a case within {MAX_CLOCK_CHANGE:.0%} of the highest",
    "throttling": "no GPU slowed after any visit (power cap, heat), no CPU core slowed for heat",
}


class Verdict(StrictModel):
    """`valid`, or `noisy` and why."""

    state: Literal["valid", "noisy"]
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.state}: {'; '.join(self.reasons)}" if self.reasons else self.state


def verdict(reasons: Iterable[str]) -> Verdict:
    found = tuple(reasons)
    return Verdict(state="noisy" if found else "valid", reasons=found)


def judge_case(
    rounds_ms: Sequence[Sequence[float]], warm_up: WarmUp, readings: Sequence[MachineReading] = ()
) -> Verdict:
    """The verdict on one case from its samples per round and the machine after each, in order of time."""
    samples = np.concatenate([np.asarray(r, np.float64) for r in rounds_ms])
    reasons = []
    if len(samples) < MIN_SAMPLES:
        reasons.append(f"only {len(samples)} samples, {MIN_SAMPLES} are the least")
    if not warm_up.is_stationary:
        reasons.append(f"not stationary after {warm_up.runs} warm-up runs ({warm_up.seconds:.1f} s)")
    if abs(change := drift(rounds_ms)) > MAX_DRIFT:
        reasons.append(f"drifted by {change:+.0%} from the first to the last third")
    if (spread := variation(samples.tolist())) > MAX_VARIATION:
        reasons.append(f"standard deviation is {spread:.0%} of the mean")
    return verdict([*reasons, *_clock_reasons(readings), *_throttle_reasons(readings)])


def judge_machine(other_load: float | None, machine: MachineState) -> list[str]:
    """Reasons that hold for all cases of a measurement."""
    reasons = []
    if other_load is not None and other_load > MAX_OTHER_LOAD:
        reasons.append(f"other processes used {other_load:.0%} of the CPUs meanwhile")
    if machine.stolen_share is not None and machine.stolen_share > MAX_STOLEN:
        reasons.append(f"the hypervisor took {machine.stolen_share:.0%} of the CPU time")
    if machine.cpu_throttle_events:
        reasons.append(f"CPU cores were slowed for heat {machine.cpu_throttle_events} times")
    return reasons


def _clock_reasons(readings: Sequence[MachineReading]) -> Iterator[str]:
    gpus = [reading.gpu for reading in readings if reading.gpu]
    clocks: dict[str, Sequence[float | None]] = {
        "CPU": [reading.cpu_clock_mhz for reading in readings],
        "GPU core": [gpu.core_clock_mhz for gpu in gpus],
        "GPU memory": [gpu.memory_clock_mhz for gpu in gpus],
    }
    for name, told in clocks.items():
        known = [clock for clock in told if clock is not None]
        if known and min(known) < max(known) * (1 - MAX_CLOCK_CHANGE):
            yield f"the {name} clock moved between {min(known):.0f} and {max(known):.0f} MHz"


def _throttle_reasons(readings: Sequence[MachineReading]) -> Iterator[str]:
    counts = Counter(cause for reading in readings if reading.gpu for cause in reading.gpu.throttled_by)
    for cause, visits in counts.items():
        yield f"the GPU was throttled by {cause} after {visits} of {len(readings)} visits"


def drift(rounds_ms: Sequence[Sequence[float]]) -> float:
    """Change of the median from the first third of the rounds to the last: +0.1 is 10% slower."""
    third = max(len(rounds_ms) // 3, 1)
    first = np.median(np.concatenate([np.asarray(r) for r in rounds_ms[:third]]))
    last = np.median(np.concatenate([np.asarray(r) for r in rounds_ms[-third:]]))
    return float(last / first - 1)


def variation(samples_ms: Sequence[float]) -> float:
    """Standard deviation over mean; 0 for a single sample."""
    return float(np.std(samples_ms, ddof=1) / np.mean(samples_ms)) if len(samples_ms) > 1 else 0.0


class LoadMeter:
    """CPU time that was used by others than this process and the given ones, since this meter was made."""

    def __init__(self, own_pids: Iterable[int]) -> None:
        self._own = [psutil.Process(), *(psutil.Process(pid) for pid in own_pids)]
        self._total_s, self._busy_s, self._stolen_s = _machine_seconds()
        self._own_s = self._own_seconds()

    def others(self) -> float | None:
        """Share of all CPUs, 0-1; None where the system does not say."""
        total_s, busy_s, _ = _machine_seconds()
        if total_s <= self._total_s:
            return None
        ours_s = self._own_seconds() - self._own_s
        return max(0.0, (busy_s - self._busy_s - ours_s) / (total_s - self._total_s))

    def stolen(self) -> float | None:
        """Share of all CPU time that the hypervisor took, 0-1; None where the system does not say."""
        total_s, _, stolen_s = _machine_seconds()
        if stolen_s is None or self._stolen_s is None or total_s <= self._total_s:
            return None
        return (stolen_s - self._stolen_s) / (total_s - self._total_s)

    def _own_seconds(self) -> float:
        return sum(map(_cpu_seconds, self._own))


def _cpu_seconds(process: psutil.Process) -> float:
    """So far; 0 for one that has ended, whose work then looks like that of others."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _machine_seconds() -> tuple[float, float, float | None]:
    """(all, busy, stolen) seconds of all CPUs since the machine started; stolen time counts as busy too."""
    times = psutil.cpu_times()._asdict()
    guest = ("guest", "guest_nice")  # already in user and nice
    total = sum(value for name, value in times.items() if name not in guest)
    return total, total - times["idle"] - times.get("iowait", 0.0), times.get("steal")
