"""Accuracy against latency: which sessions are beaten by no other in both."""

from dataclasses import dataclass

import numpy as np

from bench.result import BenchResult


@dataclass(frozen=True)
class Point:
    """One session whose file has a measured mIoU, at the smallest batch size of the graph boundary."""

    session: str
    median_ms: float
    p90_ms: float
    miou: float


def points(result: BenchResult) -> list[Point]:
    """In the order of the sessions; those without a claim are left out."""
    found = []
    for case in result.cases_at("graph", result.smallest_batch):
        if (claim := result.session(case.session).miou()) is not None:
            samples = np.concatenate([np.asarray(r) for r in case.rounds_ms])
            median, slow = np.quantile(samples, [0.5, 0.9])
            found.append(Point(case.session, float(median), float(slow), claim.value))
    return found


def front(candidates: list[Point]) -> list[Point]:
    """Those that no other beats in one without losing in the other; fastest first."""
    best: list[Point] = []
    for point in sorted(candidates, key=lambda point: (point.median_ms, -point.miou)):
        if not best or point.miou > best[-1].miou:
            best.append(point)
    return best
