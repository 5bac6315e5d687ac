"""From raw samples to the figures of one run."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from bench.load.loops import ClosedLoop, OpenLoop
from bench.load.messages import Loaded
from bench.load.meters import ServerUse
from bench.load.result import Curve, GeneratorUse, LoadRun, Timeline
from bench.load.samples import Outcome, Samples
from bench.load.transport import TransportFacts
from bench.load.validity import judge_run
from bench.statistics import Percentile, percentile_interval
from bench.timing import NS_PER_MS, NS_PER_S

PERCENTS: tuple[float, ...] = (50, 90, 95, 99, 99.9)
LAG_PERCENTS = (50, 99)
TIME_BINS = 120
DECIMALS = 4
"""Of what is only drawn: a tenth of a microsecond."""
CURVE_POINTS_PER_DECADE = 20
"""Points of the percentile curve for every further nine: 90 %, 99 %, 99.9 %, ..."""


def summarise(
    name: str,
    loop: OpenLoop | ClosedLoop,
    samples: Samples,
    loaded: list[Loaded],
    *,
    is_in_process: bool,
    max_error_share: float,
    percents: tuple[float, ...],
    server: ServerUse | None,
    other_load: float | None,
) -> LoadRun:
    """The figures and the verdict of one loop, from the merged samples and what each generator said."""
    transport = TransportFacts(
        connections=sum(part.transport.connections for part in loaded),
        retries=sum(part.transport.retries for part in loaded),
        waits=sum(part.transport.waits for part in loaded),
    )
    cpu = max(part.cpu_seconds / part.wall_seconds for part in loaded)
    latency_ms, service_ms = samples.latency_ms, samples.service_ms
    seconds = _recorded_seconds(loop, samples)
    ok = int(samples.is_ok.sum())
    return LoadRun(
        name=name,
        loop=loop,
        start_ns=loaded[0].start_ns,
        queries=len(samples),
        ok=ok,
        errors={outcome.label: count for outcome, count in _outcomes(samples) if outcome is not Outcome.OK},
        statuses={code: count for code, count in sorted(Counter(samples.status.tolist()).items()) if code},
        seconds=seconds,
        ok_per_second=ok / seconds if seconds else 0.0,
        received_bytes=int(samples.received_bytes.sum()),
        latency=percentiles(latency_ms, percents),
        mean_ms=float(latency_ms.mean()) if len(latency_ms) else None,
        max_ms=float(latency_ms.max()) if len(latency_ms) else None,
        service=percentiles(service_ms, percents),
        curve=_curve(latency_ms),
        timeline=_timeline(samples, seconds),
        generator=GeneratorUse(
            lag_ms=tuple(percentile_interval(samples.lag_ms, percent) for percent in LAG_PERCENTS),
            max_lag_ms=float(samples.lag_ms.max()) if len(samples) else 0.0,
            cpu=cpu,
            transport=transport,
        ),
        server=server,
        other_load=other_load,
        verdict=judge_run(
            loop,
            samples,
            generator_cpu=None if is_in_process else cpu,
            transport=transport,
            max_error_share=max_error_share,
            other_load=other_load,
        ),
    )


def percentiles(values_ms: NDArray[np.float64], percents: tuple[float, ...]) -> tuple[Percentile, ...]:
    return tuple(percentile_interval(values_ms, percent) for percent in percents)


def _recorded_seconds(loop: OpenLoop | ClosedLoop, samples: Samples) -> float:
    """Of an open loop the schedule's; of a closed one from its first query to its last answer."""
    return loop.seconds if isinstance(loop, OpenLoop) else samples.busy_seconds


def _outcomes(samples: Samples) -> list[tuple[Outcome, int]]:
    counts = np.bincount(samples.outcome, minlength=len(Outcome))
    return [(outcome, int(counts[outcome])) for outcome in Outcome if counts[outcome]]


def _curve(latency_ms: NDArray[np.float64]) -> Curve:
    """Ends with the slowest, drawn where the middle of the last of n samples lies."""
    if not len(latency_ms):
        return Curve(percents=(), milliseconds=())
    decades = np.log10(2 * len(latency_ms))
    nines = np.linspace(0, decades, max(int(decades * CURVE_POINTS_PER_DECADE), 2))
    percents = 100 * (1 - 10.0**-nines)
    values = np.percentile(latency_ms, percents)
    values[-1] = latency_ms.max()
    return Curve(
        percents=tuple(percents.round(6).tolist()), milliseconds=tuple(values.round(DECIMALS).tolist())
    )


def _timeline(samples: Samples, seconds: float) -> Timeline:
    width_s = max(seconds, 1e-9) / TIME_BINS
    place = np.clip(samples.intended_ns / NS_PER_S // width_s, 0, TIME_BINS - 1).astype(np.int64)
    took_ms = (samples.done_ns - samples.intended_ns) / NS_PER_MS
    numbers = np.unique(place)
    inside = [took_ms[place == number] for number in numbers]
    return Timeline(
        start_s=tuple((numbers * width_s).round(DECIMALS).tolist()),
        queries=tuple(len(part) for part in inside),
        median_ms=tuple(round(float(np.median(part)), DECIMALS) for part in inside),
        max_ms=tuple(round(float(part.max()), DECIMALS) for part in inside),
    )
