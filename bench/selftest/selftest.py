"""The self-test: plant what is known, measure it as anything else is measured, and judge what comes out."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import field_serializer

from bench.config import BenchConfig, WarmUpConfig
from bench.measure import measure
from bench.progress import Report, Silent
from bench.selftest.check import Check, CheckFunction
from bench.selftest.latency_checks import BEHAVIOURS, LATENCY_CHECKS
from bench.selftest.load_checks import LOAD_CHECKS
from bench.selftest.planted_package import write_planted_package
from bench.selftest.truth import with_truth
from modelpack.environment import fingerprint
from modelpack.runtimes import RUNTIMES
from modelpack.settings import StrictModel

KNOWN_DELAY = "bench.selftest.known_delay:KnownDelay"
RUNTIME = "known-delay"
"""What the fake is called in the table of runtimes while the self-test runs."""
SAMPLES = 240
"""Enough for p95, too few for p99; about 1.5 s per behaviour."""
ROUNDS = 12


class SelfTestResult(StrictModel):
    """Every check, and where it was made."""

    format_version: Literal[1] = 1
    created: str
    """UTC, ISO 8601."""
    seconds: float
    other_load: float | None
    """Share of all CPUs that other processes used during the latency checks."""
    environment: dict[str, Any]
    checks: tuple[Check, ...]

    @field_serializer("checks")
    def _checks_by_field(self, checks: tuple[Check, ...]) -> list[dict[str, Any]]:
        return [check._asdict() for check in checks]

    @property
    def failures(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.ok)


def selftest(
    report: Report | None = None,
    *,
    runtime: str = KNOWN_DELAY,
    load_checks: Sequence[CheckFunction] = LOAD_CHECKS,
) -> SelfTestResult:
    """All checks on this machine, through the same worker processes that measure packages; under a minute.

    `runtime` is the class that acts out the behaviours, as in the table of runtimes.
    """
    report = report or Silent()
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="afdcd-selftest-") as folder, _in_table(runtime):
        package = write_planted_package(Path(folder) / "planted", BEHAVIOURS)
        result = measure(_config(package.path), report)
        planted = with_truth(result, package.path)
    checks = [judge(planted) for judge in LATENCY_CHECKS]
    report.stage("load", len(load_checks))
    for number, check in enumerate(load_checks, start=1):
        report.step(f"check {number}")
        checks.append(check())
    return SelfTestResult(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=time.monotonic() - start,
        other_load=result.other_load,
        environment=fingerprint(),
        checks=tuple(checks),
    )


def _config(package: Path) -> BenchConfig:
    return BenchConfig(
        packages={"planted": package},
        artifacts="all",
        runtimes=(RUNTIME,),
        device="cpu",
        boundaries=("graph",),
        batch_sizes=(1,),
        samples=SAMPLES,
        rounds=ROUNDS,
        warm_up=WarmUpConfig(window_seconds=0.05, min_seconds=0.3),
    )


@contextmanager
def _in_table(runtime: str) -> Iterator[None]:
    RUNTIMES[RUNTIME] = runtime
    try:
        yield
    finally:
        del RUNTIMES[RUNTIME]
