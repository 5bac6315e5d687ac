"""Whether a figure may be believed: signs of a machine that was busy, warming or throttling meanwhile."""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import psutil

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

RULES = {
    "samples": f"at least {MIN_SAMPLES} per case",
    "warm-up": "stationary before its cap",
    "drift": f"medians of the first and last third of the rounds within {MAX_DRIFT:.0%}",
    "variation": f"standard deviation at most {MAX_VARIATION:.0%} of the mean",
    "other load": f"other processes use at most {MAX_OTHER_LOAD:.0%} of the CPUs",
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


def judge_case(rounds_ms: Sequence[Sequence[float]], warm_up: WarmUp) -> Verdict:
    """The verdict on one case from its samples per round, in order of time."""
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
    return verdict(reasons)


def judge_load(other_load: float | None) -> list[str]:
    """Reasons that hold for all cases of a measurement."""
    if other_load is not None and other_load > MAX_OTHER_LOAD:
        return [f"other processes used {other_load:.0%} of the CPUs meanwhile"]
    return []


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
    """CPU time that was used by others than this process and the given ones, between start and `others()`."""

    def __init__(self, own_pids: Iterable[int]) -> None:
        self._own = [psutil.Process(), *(psutil.Process(pid) for pid in own_pids)]
        self._total_s, self._busy_s = _machine_seconds()
        self._own_s = self._own_seconds()

    def others(self) -> float | None:
        """Share of all CPUs, 0-1; None where the system does not say."""
        total_s, busy_s = _machine_seconds()
        if total_s <= self._total_s:
            return None
        ours_s = self._own_seconds() - self._own_s
        return max(0.0, (busy_s - self._busy_s - ours_s) / (total_s - self._total_s))

    def _own_seconds(self) -> float:
        times = [process.cpu_times() for process in self._own]
        return float(sum(time.user + time.system for time in times))


def _machine_seconds() -> tuple[float, float]:
    """(all, busy) CPU seconds of all CPUs since the machine started; stolen time counts as busy."""
    times = psutil.cpu_times()._asdict()
    guest = ("guest", "guest_nice")  # already in user and nice
    total = sum(value for name, value in times.items() if name not in guest)
    return total, total - times["idle"] - times.get("iowait", 0.0)
