"""Warm-up until stationary: caches, allocators and autotuners are done when the time stands still."""

import time
from statistics import median

from bench.config import WarmUpConfig
from bench.messages import WarmUp
from bench.timing import NS_PER_MS, NS_PER_S, Call, Clock


def rule_text(rule: WarmUpConfig) -> str:
    """The rule in one sentence, for the report."""
    return (
        f"unrecorded windows of at least {rule.window_runs} runs and {rule.window_seconds:g} s, for at least "
        f"{rule.min_seconds:g} s and until the medians of {rule.windows} in a row lie within "
        f"{rule.tolerance:.0%} of each other, or {rule.max_seconds:g} s are over"
    )


def warm_up(call: Call, rule: WarmUpConfig, clock: Clock = time.perf_counter_ns) -> WarmUp:
    """Run `call` in windows until the medians of the last `rule.windows` agree, or the cap is reached."""
    medians_ms: list[float] = []
    runs = 0
    start_ns = clock()
    while True:
        window_ms = _window(call, rule, clock)
        runs += len(window_ms)
        medians_ms.append(median(window_ms))
        seconds = (clock() - start_ns) / NS_PER_S
        is_stationary = seconds >= rule.min_seconds and _agree(medians_ms[-rule.windows :], rule)
        if is_stationary or seconds >= rule.max_seconds:
            return WarmUp(
                runs=runs, seconds=seconds, is_stationary=is_stationary, window_medians_ms=tuple(medians_ms)
            )


def _window(call: Call, rule: WarmUpConfig, clock: Clock) -> list[float]:
    times_ms: list[float] = []
    window_start_ns = clock()
    while len(times_ms) < rule.window_runs or clock() - window_start_ns < rule.window_seconds * NS_PER_S:
        start_ns = clock()
        call()
        times_ms.append((clock() - start_ns) / NS_PER_MS)
    return times_ms


def _agree(medians_ms: list[float], rule: WarmUpConfig) -> bool:
    if len(medians_ms) < rule.windows:
        return False
    return max(medians_ms) <= min(medians_ms) * (1 + rule.tolerance)
