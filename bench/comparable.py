"""What two results are compared by: cases with their raw samples in rounds, and the facts around them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.report_facts import flat
from bench.result import BenchResult, CaseResult

Rounds = tuple[tuple[float, ...], ...]
"""Milliseconds; samples within a round are neighbours in time."""


@dataclass(frozen=True)
class ComparableCase:
    """One case of a result."""

    group: str
    """What was measured: the package's label. Two results of one group each are compared whatever it is."""
    key: tuple[str, ...]
    """Cases of the same group with the same key are a pair."""
    name: str
    boundary: str
    rounds_ms: Rounds
    facts: Mapping[str, str]
    """What should be the same in both cases of a pair."""


@dataclass(frozen=True)
class Comparable:
    """One result, whatever measured it."""

    kind: str
    """`latency`, ...: only results of the same kind are compared."""
    boundaries: Mapping[str, str]
    """Name -> what the clock includes."""
    cases: tuple[ComparableCase, ...]
    facts: Mapping[str, str]
    """Machine, software and settings: what should be the same in both results."""
    verdict: str


def comparable_latency(result: BenchResult) -> Comparable:
    """A result of `bench latency`."""
    return Comparable(
        kind="latency",
        boundaries={str(name): text for name, text in result.boundaries.items()},
        cases=tuple(_latency_case(result, case) for case in result.cases),
        facts=dict(environment_facts(result.environment)) | dict(_measuring_facts(result)),
        verdict=str(result.verdict),
    )


def _latency_case(result: BenchResult, case: CaseResult) -> ComparableCase:
    session = result.session(case.session)
    return ComparableCase(
        group=session.label,
        key=(session.artifact, session.runtime, str(session.threads), case.boundary, str(case.batch)),
        name=f"{session.name}, {case.boundary}, batch {case.batch}",
        boundary=case.boundary,
        rounds_ms=case.rounds_ms,
        facts={
            "input size": flat(session.input_size),
            "device": session.device,
            "provider": session.provider,
            "runtime": flat(session.description),
        },
    )


def _measuring_facts(result: BenchResult) -> Iterator[tuple[str, str]]:
    yield "images", ", ".join(f"{image.name} {image.sha256[:12]}" for image in result.images) or "none"
    for name in ("rounds", "settle_runs", "warm_up"):
        yield name.replace("_", " "), flat(getattr(result.settings, name))


def environment_facts(environment: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """One fact per package and per property of the CPU, so that a difference is named by itself."""
    for name, value in environment.items():
        if isinstance(value, Mapping):
            yield from ((f"{name} {part}", flat(entry)) for part, entry in value.items())
        else:
            yield name, flat(value)
