"""Whether one result is slower than another: for each pair of cases the ratio of medians and its interval."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, Self

import numpy as np

from bench.comparable import Comparable, ComparableCase, comparable_latency
from bench.result import BenchResult
from bench.statistics import CONFIDENCE, Ratio, independent_ratio
from modelpack.errors import UsageError
from modelpack.settings import StrictModel

ABSENT = "none"
RULES = {
    "ratio": "median of B over median of A, all samples of a case together: above 1, B is slower",
    "interval": f"{CONFIDENCE:.0%}, hierarchical bootstrap: rounds are drawn first, because samples within a "
    "round are alike, then samples within them; A and B are drawn independently of each other",
    "no difference": "the interval holds 1",
    "failure": "with a limit, B fails where the whole interval of a case lies above 1 + limit",
}
"""How each figure is made, stated in every comparison."""


class ComparisonError(UsageError):
    """Two results that do not measure the same thing."""


class Pair(StrictModel):
    """One case that both results hold."""

    name: str
    a_median_ms: float
    b_median_ms: float
    a_samples: int
    b_samples: int
    ratio: Ratio
    """B over A."""
    finding: Literal["no difference", "slower", "faster"]
    """Of B."""
    exceeds_limit: bool
    """The whole interval lies beyond the limit; False without one."""

    @classmethod
    def of(cls, a: ComparableCase, b: ComparableCase, limit: float | None, seed: int) -> Self:
        ratio = independent_ratio(b.rounds_ms, a.rounds_ms, seed)
        a_ms, b_ms = (np.concatenate([np.asarray(r) for r in case.rounds_ms]) for case in (a, b))
        finding: Literal["no difference", "slower", "faster"] = "no difference"
        if ratio.is_different:
            finding = "slower" if ratio.value > 1 else "faster"
        return cls(
            name=a.name if a.name == b.name else f"{a.name} → {b.name}",
            a_median_ms=float(np.median(a_ms)),
            b_median_ms=float(np.median(b_ms)),
            a_samples=len(a_ms),
            b_samples=len(b_ms),
            ratio=ratio,
            finding=finding,
            exceeds_limit=limit is not None and ratio.lower > 1 + limit,
        )


class ComparisonResult(StrictModel):
    """Result B against result A."""

    format_version: Literal[1] = 1
    created: str
    """UTC, ISO 8601."""
    kind: str
    a: str
    """What the caller calls the first result, as a rule its file."""
    b: str
    limit: float | None
    """Largest share by which B may be slower."""
    rules: dict[str, str]
    pairs: tuple[Pair, ...]
    unpaired: tuple[str, ...]
    """Cases that only one of the results holds."""
    warnings: tuple[str, ...]
    """Each difference between the conditions of A and B, and doubts about either."""

    @property
    def failures(self) -> tuple[Pair, ...]:
        return tuple(pair for pair in self.pairs if pair.exceeds_limit)


def compare_results(
    a: BenchResult,
    b: BenchResult,
    *,
    limit: float | None = None,
    names: tuple[str, str] = ("A", "B"),
    seed: int = 0,
) -> ComparisonResult:
    """Result `b` against result `a`, case by case; `limit` 0.05 lets `b` be 5% slower.

    Raises ComparisonError where nothing can be paired or a boundary does not mean the same in both.
    """
    return compare_sides(comparable_latency(a), comparable_latency(b), limit=limit, names=names, seed=seed)


def compare_sides(
    a: Comparable, b: Comparable, *, limit: float | None, names: tuple[str, str], seed: int = 0
) -> ComparisonResult:
    """As `compare_results`, for results of any kind that can be compared."""
    _check_same_measure(a, b, names)
    of_a, of_b = _by_key(a, b)
    shared = [key for key in of_a if key in of_b]
    if not shared:
        held = " and ".join(
            f"{name} holds {', '.join(case.name for case in side.cases)}"
            for name, side in zip(names, (a, b), strict=True)
        )
        raise ComparisonError(
            f"no case is in both results: {held}. Measure the same artifacts, runtimes, "
            "threads, boundaries and batch sizes."
        )
    pairs = [(of_a[key], of_b[key]) for key in shared]
    return ComparisonResult(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        kind=a.kind,
        a=names[0],
        b=names[1],
        limit=limit,
        rules=RULES,
        pairs=tuple(Pair.of(*pair, limit, seed) for pair in pairs),
        unpaired=(
            *(f"{case.name}: in {names[0]} only" for key, case in of_a.items() if key not in of_b),
            *(f"{case.name}: in {names[1]} only" for key, case in of_b.items() if key not in of_a),
        ),
        warnings=tuple(_warnings(a, b, pairs, names)),
    )


def _by_key(*sides: Comparable) -> list[dict[tuple[str, ...], ComparableCase]]:
    """The cases of each side; groups count where any side has several of them."""
    has_groups = any(len({case.group for case in side.cases}) > 1 for side in sides)
    return [{(case.group if has_groups else "", *case.key): case for case in side.cases} for side in sides]


def _check_same_measure(a: Comparable, b: Comparable, names: tuple[str, str]) -> None:
    if a.kind != b.kind:
        raise ComparisonError(
            f"{names[0]} is a {a.kind} result and {names[1]} a {b.kind} result. Compare results of one kind."
        )
    if not a.boundaries.keys() & b.boundaries.keys():
        raise ComparisonError(
            f"{names[0]} measures the boundary {', '.join(a.boundaries)} and {names[1]} "
            f"{', '.join(b.boundaries)}: their figures mean different things. Measure the same boundary."
        )
    for boundary in a.boundaries.keys() & b.boundaries.keys():
        if a.boundaries[boundary] != b.boundaries[boundary]:
            raise ComparisonError(
                f"boundary {boundary} is not the same: in {names[0]} the clock includes "
                f"{a.boundaries[boundary]!r}, in {names[1]} {b.boundaries[boundary]!r}. Measure both with "
                "one version of afdcd."
            )


def _warnings(
    a: Comparable,
    b: Comparable,
    pairs: Sequence[tuple[ComparableCase, ComparableCase]],
    names: tuple[str, str],
) -> Iterator[str]:
    yield from _differences(a.facts, b.facts)
    seen: set[str] = set()
    for one, other in pairs:
        for difference in _differences(one.facts, other.facts):
            if difference not in seen:
                seen.add(difference)
                yield f"{one.name}: {difference}"
    for name, side in zip(names, (a, b), strict=True):
        if side.verdict != "valid":
            yield f"{name} is {side.verdict}"


def _differences(a: Mapping[str, str], b: Mapping[str, str]) -> Iterator[str]:
    for fact in sorted(a.keys() | b.keys()):
        if (before := a.get(fact, ABSENT)) != (after := b.get(fact, ABSENT)):
            yield f"{fact} differs: {before} → {after}"
