"""Time and memory of work on a device that runs behind Python's back."""

import statistics
import time
from collections.abc import Callable, Mapping

import torch


def synchronise(device: torch.device) -> None:
    """Wait for what was started there."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    synchronise(device)
    begun = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - begun


def median_seconds(work: Callable[[], object], device: torch.device, *, runs: int, warm_up: int = 3) -> float:
    for _ in range(warm_up):
        work()
    return statistics.median(seconds_of(work, device) for _ in range(runs))


def interleaved_seconds(
    works: Mapping[str, Callable[[], object]], device: torch.device, rounds: int
) -> dict[str, float]:
    """Median of each; every round runs them all, forwards or backwards in turn, so that drift hits all."""
    samples: dict[str, list[float]] = {name: [] for name in works}
    for number in range(-1, rounds):  # the first round warms up
        for name in list(works)[:: 1 if number % 2 else -1]:
            seconds = seconds_of(works[name], device)
            if number >= 0:
                samples[name].append(seconds)
    return {name: statistics.median(values) for name, values in samples.items()}


def peak_bytes(work: Callable[[], object], device: torch.device) -> int | None:
    """Most that `work` held on the device beyond what was there before; None on the CPU."""
    if device.type != "cuda":
        work()
        return None
    synchronise(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    work()
    synchronise(device)
    return torch.cuda.max_memory_allocated(device) - before
