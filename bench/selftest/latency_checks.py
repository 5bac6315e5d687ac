"""What `bench latency` and `bench compare` must find in the planted behaviours."""

from collections.abc import Callable

import numpy as np

from bench.compare import compare_results
from bench.result import BenchResult, CaseResult
from bench.selftest.check import Check
from bench.selftest.known_delay import Behaviour
from bench.selftest.truth import Planted
from bench.statistics import Ratio, samples_needed
from bench.wording import figure, interval, mebibytes

MS = 5.0
"""Delay of the steady fakes: far above what a call through the boundary costs."""
FAST_MS, SLOW_MS = 3.0, 12.0
SLOWER = 1.1
BALLAST_MEBIBYTES = 128

STEADY, COPY, SLOW, JITTER, COLD, DRIFT, LARGE = (
    "steady", "steady-again", "ten-percent-slower", "jitter", "cold", "drift", "large"
)  # fmt: skip
BEHAVIOURS = {
    STEADY: Behaviour(cycle_ms=(MS,)),
    COPY: Behaviour(cycle_ms=(MS,)),
    SLOW: Behaviour(cycle_ms=(MS * SLOWER,)),
    JITTER: Behaviour(cycle_ms=(FAST_MS, FAST_MS, SLOW_MS, FAST_MS, FAST_MS)),
    COLD: Behaviour(first_ms=(40, 35, 30, 25, 20, 16, 13, 10, 8, 7, 6), cycle_ms=(MS,)),
    DRIFT: Behaviour(cycle_ms=(MS,), growth_per_call=0.001),
    LARGE: Behaviour(cycle_ms=(MS,), allocates_mebibytes=BALLAST_MEBIBYTES),
}
"""The artifacts of the planted package; the first is the baseline."""

TIME_TOLERANCE = 0.03
"""Of a time or a ratio: the way through the boundary takes its share of 5 ms."""
NEAR_ONE = 0.01
"""A 95% interval misses the truth once in twenty; only one that misses it by more than this is a failure."""
MEMORY_TOLERANCE = 0.1


def median(planted: Planted) -> Check:
    return _time("median of a steady call", planted, STEADY, 50, MS)


def fast_mode(planted: Planted) -> Check:
    return _time("p50 where 1 call of 5 is slow", planted, JITTER, 50, FAST_MS)


def slow_mode(planted: Planted) -> Check:
    return _time("p90 where 1 call of 5 is slow", planted, JITTER, 90, SLOW_MS)


def jitter_is_noisy(planted: Planted) -> Check:
    return _noisy("verdict on that", planted.case(JITTER), "standard deviation")


def drift_is_noisy(planted: Planted) -> Check:
    return _noisy("verdict on calls that get slower", planted.case(DRIFT), "drifted")


def too_few(planted: Planted) -> Check:
    case = planted.case(STEADY)
    entry, needed = case.percentile(99), samples_needed(99)
    return Check(
        name=f"p99 of {case.samples} calls",
        expected=f"n too small, needs {needed}",
        measured=entry.note or f"{figure(entry.value or 0)} ms",
        tolerance="none",
        ok=case.samples < needed and entry.value is None and str(needed) in entry.note,
    )


def cold_start(planted: Planted) -> Check:
    """The slow first calls are seen in the warm-up and in no recorded percentile."""
    warm_up, cold = planted.case(COLD).warm_up, BEHAVIOURS[COLD].first_ms
    first_ms, last_ms = warm_up.window_medians_ms[0], warm_up.window_medians_ms[-1]
    recorded = _time("", planted, COLD, 90, MS)
    return Check(
        name="p90 after a cold start, and the warm-up that took it away",
        expected=f"{recorded.expected} after at least {len(cold)} runs",
        measured=f"{recorded.measured} after {warm_up.runs} runs that began with {figure(first_ms)} ms",
        tolerance=recorded.tolerance,
        ok=recorded.ok and warm_up.is_stationary and warm_up.runs >= len(cold) and first_ms > 2 * last_ms,
    )


def peak_memory(planted: Planted) -> Check:
    more = planted.case(LARGE).peak_memory_bytes - planted.case(STEADY).peak_memory_bytes
    truth = BALLAST_MEBIBYTES << 20
    return Check(
        name="peak memory of a call that holds more",
        expected=f"{BALLAST_MEBIBYTES} MiB more",
        measured=f"{mebibytes(more)} MiB more",
        tolerance=f"{MEMORY_TOLERANCE:.0%}",
        ok=abs(more - truth) <= MEMORY_TOLERANCE * truth,
    )


def equal_side_by_side(planted: Planted) -> Check:
    return _equal("two equal calls in one measurement", _slowdown(planted, COPY))


def slower_side_by_side(planted: Planted) -> Check:
    return _slower("a call 10% slower in one measurement", _slowdown(planted, SLOW), planted)


def equal_in_compare(planted: Planted) -> Check:
    return _equal("`compare` of two equal results", _compared(planted, COPY))


def slower_in_compare(planted: Planted) -> Check:
    return _slower("`compare` with a result 10% slower", _compared(planted, SLOW), planted)


LATENCY_CHECKS: tuple[Callable[[Planted], Check], ...] = (
    median,
    fast_mode,
    slow_mode,
    jitter_is_noisy,
    drift_is_noisy,
    too_few,
    cold_start,
    peak_memory,
    equal_side_by_side,
    slower_side_by_side,
    equal_in_compare,
    slower_in_compare,
)
"""Each judges the one measurement of all behaviours."""


def _time(name: str, planted: Planted, artifact: str, percent: int, asked_ms: float) -> Check:
    """Right: near what the calls really took, and no less than they were asked to take."""
    entry = planted.case(artifact).percentile(percent)
    truth_ms = float(np.quantile(planted.truth_ms[artifact], percent / 100))
    value = entry.value
    is_right = (
        value is not None
        and abs(value - truth_ms) <= TIME_TOLERANCE * truth_ms
        and value >= (1 - TIME_TOLERANCE) * asked_ms
    )
    return Check(
        name=name,
        expected=f"{figure(truth_ms)} ms (asked for {asked_ms:g})",
        measured=entry.note if value is None else f"{figure(value)} ms",
        tolerance=f"{TIME_TOLERANCE:.0%}",
        ok=is_right,
    )


def _noisy(name: str, case: CaseResult, reason: str) -> Check:
    found = next((entry for entry in case.verdict.reasons if reason in entry), None)
    return Check(
        name=name,
        expected=f"noisy: {reason}",
        measured=f"{case.verdict.state}: {found}" if found else str(case.verdict),
        tolerance="none",
        ok=found is not None,
    )


def _slowdown(planted: Planted, artifact: str) -> Ratio:
    """How much longer than the baseline it takes, by the comparison within the measurement."""
    session = planted.case(artifact).session
    speedup = next(entry.speedup for entry in planted.result.comparisons if entry.session == session)
    return Ratio(value=1 / speedup.value, lower=1 / speedup.upper, upper=1 / speedup.lower)


def _compared(planted: Planted, artifact: str) -> Ratio:
    """What `compare` says when the baseline and this artifact are taken for results of the same one."""
    one, other = (_alone(planted, name) for name in (STEADY, artifact))
    return compare_results(one, other).pairs[0].ratio


def _alone(planted: Planted, artifact: str) -> BenchResult:
    case = planted.case(artifact)
    session = planted.result.session(case.session).model_copy(update={"artifact": STEADY})
    return planted.result.model_copy(update={"sessions": (session,), "cases": (case,), "comparisons": ()})


def _equal(name: str, ratio: Ratio) -> Check:
    return Check(
        name=name,
        expected="no difference",
        measured=f"{'a' if ratio.is_different else 'no'} difference {interval(ratio.lower, ratio.upper)}",
        tolerance=f"interval within {NEAR_ONE:.0%} of 1",
        ok=ratio.lower <= 1 + NEAR_ONE and ratio.upper >= 1 - NEAR_ONE,
    )


def _slower(name: str, ratio: Ratio, planted: Planted) -> Check:
    truth = float(np.median(planted.truth_ms[SLOW]) / np.median(planted.truth_ms[STEADY]))
    return Check(
        name=name,
        expected=f"{figure(truth)} times (asked for {SLOWER:g})",
        measured=f"{figure(ratio.value)} times {interval(ratio.lower, ratio.upper)}",
        tolerance=f"{TIME_TOLERANCE:.0%}, and 1 outside",
        ok=ratio.lower > 1 and abs(ratio.value - truth) <= TIME_TOLERANCE * truth,
    )
