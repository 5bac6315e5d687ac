"""The clock: run a call again and again and note how long each run took."""

import gc
import time
from collections.abc import Callable

Call = Callable[[], object]
Clock = Callable[[], int]
"""Nanoseconds that only go forward."""

NS_PER_MS = 1e6
NS_PER_S = 1e9


def time_runs(
    call: Call, seconds: float, samples: int | None, settle_runs: int = 0, clock: Clock = time.perf_counter_ns
) -> list[float]:
    """Milliseconds of each run, for `seconds` of recorded time, or of exactly `samples` runs; at least one.

    The first `settle_runs` are not recorded. Garbage collection waits until the end: no run pays for others.
    """
    for _ in range(settle_runs):
        call()
    recorded_ms: list[float] = []
    budget_ns = int(seconds * NS_PER_S)
    spent_ns = 0
    was_collecting = gc.isenabled()
    gc.disable()
    try:
        while (
            len(recorded_ms) < samples if samples is not None else (not recorded_ms or spent_ns < budget_ns)
        ):
            start_ns = clock()
            call()
            elapsed_ns = clock() - start_ns
            spent_ns += elapsed_ns
            recorded_ms.append(elapsed_ns / NS_PER_MS)
    finally:
        if was_collecting:
            gc.enable()
    return recorded_ms
