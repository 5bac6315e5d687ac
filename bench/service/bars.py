"""What our service has to reach, and how each figure is made from the rounds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.load.result import LoadRun
from bench.load.validity import LoadVerdict
from bench.service.contestants import IN_PROCESS, NAIVE, OURS, OURS_INT8
from bench.service.heats import ALONE, FEW, MANY, OPEN, Heat
from bench.service.over_rounds import over_rounds
from bench.service.result import Judged, State

OF_IN_PROCESS, OF_NAIVE = 0.85, 1.05
"""Least throughput, relative to the same work without HTTP and to the naive endpoint."""
OF_NAIVE_P99 = 1.0
LATENCY_FACTOR, LATENCY_EXTRA_MS = 1.2, 2.0
"""Most that the median of an open loop may be: so many times one image without HTTP, and so much more."""
MEMORY_MB = 220.0
"""Most that supervisor and two workers may take together, PSS, in units of 10^6 bytes."""
MEMORY_WORKERS = 2
INT8_OF_NAIVE = 2.0
"""Least throughput of our service in int8, relative to the naive endpoint in fp32, on a ResNet-18 network."""
ONE_AT_A_TIME = f"{IN_PROCESS}-1x1"
MIN_ROUNDS = 2
P99 = 0.99

Place = tuple[str, str]
"""(contestant, heat)."""


@dataclass(frozen=True)
class Seen:
    """What a bar needs of one visit."""

    run: LoadRun
    latency_ms: NDArray[np.float64]


Round = Mapping[Place, Seen]


@dataclass(frozen=True)
class Bar:
    """One demand on the figure of all rounds."""

    name: str
    text: str
    places: tuple[Place, ...]
    """Visits that the figure is made from."""
    figure: Callable[[Sequence[Round]], float]
    relation: Literal[">=", "<="]
    limit: float
    unit: str = ""
    generator_only_adds: bool = False
    """A late generator can only make the figure look worse."""


def bars_for(best_in_process: str, contestants: Sequence[str], workers: int, network: str) -> list[Bar]:
    """Those that this measurement can judge.

    best_in_process: the contestant that did most without HTTP. workers: of our service. network: as the
    package's lineage names it; the bar of int8 is one for ResNet-18.
    """
    bars = []
    for heat in (FEW, MANY):
        bars.append(_throughput(heat, OURS, best_in_process, OF_IN_PROCESS, "of the same work in process"))
        bars.append(_throughput(heat, OURS, NAIVE, OF_NAIVE, "of the naive endpoint"))
    bars += [_p99(), _open_latency()]
    if workers == MEMORY_WORKERS:
        bars.append(_memory())
    if OURS_INT8 in contestants and "resnet18" in network.lower():
        bars += [_throughput(heat, OURS_INT8, NAIVE, INT8_OF_NAIVE, "of naive fp32") for heat in (FEW, MANY)]
    return bars


def judge(bar: Bar, rounds: Sequence[Round], seed: int) -> Judged:
    """Rounds in which a visit that the bar needs is invalid are left out; with too few left it is INVALID.

    Where a late generator can only speak against us, a bar that is met in spite of it is met.
    """
    strict = _judged(bar, rounds, seed, with_generator=True)
    if strict.state != "invalid" or not bar.generator_only_adds:
        return strict
    lenient = _judged(bar, rounds, seed, with_generator=False)
    return lenient.model_copy(update={"reasons": strict.reasons}) if lenient.state == "met" else strict


def _judged(bar: Bar, rounds: Sequence[Round], seed: int, *, with_generator: bool) -> Judged:
    told = {
        (number, place): "; ".join(faults)
        for number, visits in enumerate(rounds, 1)
        for place in bar.places
        if (faults := _faults(visits[place].run.verdict, with_generator))
    }
    spoiled = {number for number, _ in told}
    usable = [visits for number, visits in enumerate(rounds, 1) if number not in spoiled]
    value = lower = upper = None
    state: State = "invalid"
    if len(usable) >= max(MIN_ROUNDS, len(rounds) / 2):
        estimate = over_rounds(usable, bar.figure, seed)
        value, lower, upper = estimate.value, estimate.lower, estimate.upper
        is_met = value >= bar.limit if bar.relation == ">=" else value <= bar.limit
        state = "met" if is_met else "missed"
    return Judged(
        name=bar.name,
        text=bar.text,
        relation=bar.relation,
        limit=bar.limit,
        unit=bar.unit,
        value=value,
        lower=lower,
        upper=upper,
        state=state,
        rounds=len(usable),
        reasons=tuple(f"round {number}, {' '.join(place)}: {text}" for (number, place), text in told.items()),
    )


def _faults(verdict: LoadVerdict, with_generator: bool) -> tuple[str, ...]:
    return verdict.faults + (verdict.generator_faults if with_generator else ())


def _throughput(heat: Heat, above: str, below: str, limit: float, of: str) -> Bar:
    places = (above, heat.name), (below, heat.name)

    def ratio(rounds: Sequence[Round]) -> float:
        upper, lower = places
        return median(visits[upper].run.ok_per_second / visits[lower].run.ok_per_second for visits in rounds)

    against = IN_PROCESS if below.startswith(IN_PROCESS) else below
    name = f"{above}-{heat.clients}-of-{against}"
    return Bar(name, f"{above}: answers/s with {heat.text}, {of}", places, ratio, ">=", limit)


def _p99() -> Bar:
    ours, naive = (OURS, FEW.name), (NAIVE, FEW.name)

    def ratio(rounds: Sequence[Round]) -> float:
        return _quantile(rounds, ours, P99) / _quantile(rounds, naive, P99)

    return Bar(
        "p99-4", f"p99 with {FEW.text}, of the naive endpoint", (ours, naive), ratio, "<=", OF_NAIVE_P99
    )


def _open_latency() -> Bar:
    ours, alone = (OURS, OPEN.name), (ONE_AT_A_TIME, ALONE.name)

    def share(rounds: Sequence[Round]) -> float:
        allowed_ms = LATENCY_FACTOR * _quantile(rounds, alone, 0.5) + LATENCY_EXTRA_MS
        return _quantile(rounds, ours, 0.5) / allowed_ms

    allowed = f"{LATENCY_FACTOR:g} x one image in process + {LATENCY_EXTRA_MS:g} ms"
    return Bar("open-p50", f"p50 of the open loop, of {allowed}", (ours, alone), share, "<=", 1.0, "", True)


def _memory() -> Bar:
    places = tuple((OURS, heat.name) for heat in (ALONE, FEW, MANY, OPEN))

    def most_mb(rounds: Sequence[Round]) -> float:
        used = (visits[place].run.server for visits in rounds for place in places)
        return max(entry.memory_bytes for entry in used if entry is not None) / 1e6

    text = f"memory of {MEMORY_WORKERS} workers and their supervisor, PSS"
    return Bar("memory", text, places, most_mb, "<=", MEMORY_MB, "MB", True)


def _quantile(rounds: Sequence[Round], place: Place, share: float) -> float:
    """Over the raw samples of all rounds."""
    return float(np.quantile(np.concatenate([visits[place].latency_ms for visits in rounds]), share))
