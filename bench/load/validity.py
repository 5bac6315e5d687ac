"""Whether a load run may be believed: a generator that was late or busy measures itself."""

from collections.abc import Iterable
from typing import Literal

import numpy as np

from bench.load.loops import ClosedLoop, OpenLoop
from bench.load.samples import Samples
from bench.load.transport import TransportFacts
from bench.timing import NS_PER_MS, NS_PER_S
from bench.validity import MAX_OTHER_LOAD
from modelpack.errors import SegError
from modelpack.settings import StrictModel

MAX_LAG_SHARE = 0.1
"""p99 of the generator's lag, relative to p99 of the latency: the part of the figure that may be its own."""
MAX_LAG_FLOOR_MS = 0.2
"""Lag below this is what waking up costs on any machine."""
MAX_GENERATOR_CPU = 0.8
"""CPU seconds per second of a generator process: beyond it, queueing within the generator begins."""
MAX_WAITS_SHARE = 0.001
"""Share of queries of an open loop that found no free connection: the loop was not open."""
MAX_BACKLOG_GROWTH = 0.05
"""Growth of what is unanswered from the first third of an open loop to its end, relative to what was sent in
between: with more, the rate is beyond what the server can take, and latency is a matter of patience."""
MIN_BACKLOG = 10
"""Queries that may be on their way at any time without being called a growing queue."""
MIN_QUERIES = 30

RULES = {
    "generator lag": f"its p99 is at most {MAX_LAG_SHARE:.0%} of the latency's, or {MAX_LAG_FLOOR_MS} ms",
    "generator CPU": f"at most {MAX_GENERATOR_CPU:.0%} of a core per process (HTTP only)",
    "connections": f"at most {MAX_WAITS_SHARE:.1%} of an open loop's queries wait for a free one",
    "errors": "at most max_error_share of the queries fail",
    "backlog": f"what is unanswered grows by at most {MAX_BACKLOG_GROWTH:.0%} of what an open loop sends",
    "search": "a rate that keeps the bounds keeps them though the generator was late, which only adds to "
    "latency; one that does not is tried again",
    "queries": f"at least {MIN_QUERIES}",
    "other load": f"others use at most {MAX_OTHER_LOAD:.0%} of the CPUs; beyond, the run is noisy",
}


class InvalidLoadError(SegError):
    """The load was run and reported, and its figures must not be used."""


class LoadVerdict(StrictModel):
    """`invalid`: do not use the figures. `noisy`: so it was, but a quiet machine would say otherwise."""

    state: Literal["valid", "noisy", "invalid"]
    faults: tuple[str, ...] = ()
    """Of the server: why it is invalid."""
    generator_faults: tuple[str, ...] = ()
    """Of the generator, likewise. They only add to latency that counts from intended sends."""
    noise: tuple[str, ...] = ()
    """What disturbed it."""

    @property
    def reasons(self) -> tuple[str, ...]:
        return self.faults + self.generator_faults + self.noise

    def __str__(self) -> str:
        state = self.state.upper() if self.state == "invalid" else self.state
        return f"{state}: {'; '.join(self.reasons)}" if self.reasons else state


def verdict(faults: Iterable[str], own: Iterable[str] = (), noise: Iterable[str] = ()) -> LoadVerdict:
    """`faults` of the server and `own` ones of the generator make it invalid, `noise` noisy."""
    found, ours, disturbed = tuple(faults), tuple(own), tuple(noise)
    state: Literal["valid", "noisy", "invalid"] = "noisy" if disturbed else "valid"
    if found or ours:
        state = "invalid"
    return LoadVerdict(state=state, faults=found, generator_faults=ours, noise=disturbed)


def judge_run(
    loop: OpenLoop | ClosedLoop,
    samples: Samples,
    *,
    generator_cpu: float | None,
    transport: TransportFacts,
    max_error_share: float,
    other_load: float | None,
) -> LoadVerdict:
    """The verdict on one run. `generator_cpu`: of the busiest process; None where the model's is in it."""
    if not len(samples):
        return verdict(["no query was recorded"])
    own = []
    if (lag := _lag_fault(samples)) is not None:
        own.append(lag)
    if generator_cpu is not None and generator_cpu > MAX_GENERATOR_CPU:
        own.append(
            f"a generator process used {generator_cpu:.0%} of a core; set processes higher, or ask for less"
        )
    if isinstance(loop, OpenLoop) and transport.waits > MAX_WAITS_SHARE * len(samples):
        own.append(f"{transport.waits} queries waited for a free connection; set max_connections higher")
    noise = []
    if other_load is not None and other_load > MAX_OTHER_LOAD:
        noise.append(f"other processes used {other_load:.0%} of the CPUs meanwhile")
    return verdict(_server_faults(loop, samples, max_error_share), own, noise)


def _server_faults(loop: OpenLoop | ClosedLoop, samples: Samples, max_error_share: float) -> Iterable[str]:
    n, failed = len(samples), int((~samples.is_ok).sum())
    if n < MIN_QUERIES and not (isinstance(loop, ClosedLoop) and loop.samples_per_query > 1):
        yield f"only {n} queries, {MIN_QUERIES} are the least"
    if failed > max_error_share * n:
        yield f"{failed} of {n} queries failed ({failed / n:.2%}), at most {max_error_share:.2%} may"
    if isinstance(loop, OpenLoop) and (growth := backlog_growth(loop, samples)) > MAX_BACKLOG_GROWTH:
        yield (
            f"the server did not keep up: {growth:.0%} of what was sent stayed unanswered, so these "
            "latencies depend on how long the queue was let grow"
        )


def backlog_growth(loop: OpenLoop, samples: Samples) -> float:
    """Share of the queries sent after the first third of the schedule by which the unanswered ones grew."""
    end_ns = loop.seconds * NS_PER_S
    unanswered = [_unanswered(samples, at_ns) for at_ns in (end_ns / 3, end_ns)]
    sent = int((samples.intended_ns >= end_ns / 3).sum())
    if unanswered[1] <= MIN_BACKLOG or not sent:
        return 0.0
    return (unanswered[1] - unanswered[0]) / sent


def _unanswered(samples: Samples, at_ns: float) -> int:
    return int(((samples.intended_ns < at_ns) & (samples.done_ns >= at_ns)).sum())


def _lag_fault(samples: Samples) -> str | None:
    lag_ms = float(np.percentile(samples.lag_ms, 99))
    took_ms = float(np.percentile((samples.done_ns - samples.intended_ns) / NS_PER_MS, 99))
    limit_ms = max(MAX_LAG_SHARE * took_ms, MAX_LAG_FLOOR_MS)
    if lag_ms <= limit_ms:
        return None
    return (
        f"the generator was late: p99 of its lag is {lag_ms:.2f} ms where {limit_ms:.2f} ms may be; use a "
        "quieter machine, more processes or a lower rate"
    )
