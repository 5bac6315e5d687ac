"""What the planted calls really took, by the fake's own record, run for run as the tool recorded them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.result import BenchResult, CaseResult
from bench.selftest.known_delay import RECORD_SUFFIX

Durations = NDArray[np.float64]
"""(n,), milliseconds."""


@dataclass(frozen=True)
class Planted:
    """One measurement of planted behaviours, and the truth about it."""

    result: BenchResult
    truth_ms: Mapping[str, Durations]
    """Artifact -> the calls that the tool recorded, in order, as the fake saw them."""

    def case(self, artifact: str) -> CaseResult:
        name = next(entry.name for entry in self.result.sessions if entry.artifact == artifact)
        return next(case for case in self.result.cases if case.session == name)


def with_truth(result: BenchResult, folder: Path) -> Planted:
    """`folder` is the planted package; its fakes have ended, so their records are complete."""
    truth_ms = {}
    for session in result.sessions:
        case = next(case for case in result.cases if case.session == session.name)
        calls_ms = np.fromfile((folder / session.artifact).with_suffix(RECORD_SUFFIX), np.float64)
        truth_ms[session.artifact] = _recorded(calls_ms, case, result.settings.settle_runs)
    return Planted(result, truth_ms)


def _recorded(calls_ms: Durations, case: CaseResult, settle_runs: int) -> Durations:
    """Leaves out the warm-up, and the first runs of every visit."""
    visits, at = [], case.warm_up.runs
    for samples in case.rounds_ms:
        at += settle_runs
        visits.append(calls_ms[at : at + len(samples)])
        at += len(samples)
    return np.concatenate(visits)
