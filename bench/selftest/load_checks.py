"""What `bench load` must find in a server of known delays: a stall, jitter, a capacity, planted errors.

The truth is the fake server's own record against the intended sends, so a busy machine moves both; that the
planted delay is in it at all is checked against the ideal server.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bench.load.config import LoadConfig
from bench.load.result import LoadRun
from bench.load.run import run_load
from bench.load.schedule import arrival_offsets_ns
from bench.selftest.check import Check, CheckFunction
from bench.selftest.fake_lanes import LoadBehaviour, ideal_latency_ms
from bench.selftest.fake_process import Record, fake_process
from bench.timing import NS_PER_MS, NS_PER_S
from bench.wording import figure

SERVICE_MS, STALL_MS, STALL_REQUEST = 5.0, 500.0, 150
STALL = LoadBehaviour(service_ms=SERVICE_MS, stall_request=STALL_REQUEST, stall_ms=STALL_MS)
JITTER = LoadBehaviour(service_ms=SERVICE_MS, lanes=0, jitter_ms=10.0)
CAPACITY = LoadBehaviour(service_ms=SERVICE_MS)
FAILING = LoadBehaviour(service_ms=1.0, lanes=0, fail_every=10)

STALL_RATE, STALL_SECONDS = 100.0, 5.5
"""Half of what one lane of 5 ms takes; enough requests for p99."""
JITTER_RATE, JITTER_SECONDS = 150.0, 4.0
CAPACITY_CLIENTS = 4
SHORT_SECONDS = 2.0
CLOSED_SECONDS = 4.0
FAILING_RATE = 100.0

TOLERANCE = 0.05
FLOOR_MS = 1.0
"""Way through sockets and event loops, which the server's record does not hold."""
BLIND_FACTOR = 5.0
"""The open loop's p99 through the stall is at least so many times the closed loop's."""


@dataclass(frozen=True)
class Loaded:
    """One run, and the truth about it."""

    run: LoadRun
    behaviour: LoadBehaviour
    record: Record

    def from_intended_ms(self) -> NDArray[np.float64]:
        """(n,) of an open loop: from the intended sends to the server's answers."""
        loop = self.run.loop
        assert loop.kind == "open"
        intended_ns = self.run.start_ns + loop.offsets_ns()
        return (self.record.went_ns - intended_ns) / NS_PER_MS

    def from_arrival_ms(self) -> NDArray[np.float64]:
        """(n,) between arrival and answer."""
        return (self.record.went_ns - self.record.came_ns) / NS_PER_MS


def open_p99_through_a_stall() -> Check:
    return _open_percentile(_stalled_open(), 99, f"open loop: p99 through a stall of {STALL_MS:g} ms")


def open_maximum_through_a_stall() -> Check:
    loaded = _stalled_open()
    truth = float(loaded.from_intended_ms().max())
    return _near(
        "open loop: slowest request through the stall",
        truth,
        float(_ideal_ms(loaded).max()),
        loaded.run.max_ms,
    )


def closed_p99_is_blind_to_the_stall() -> Check:
    """One client has one request on its way, so the stall is one sample of hundreds."""
    loaded = _stalled_closed()
    seen = np.sort(loaded.from_arrival_ms())
    truth = float(np.quantile(seen, 0.99))
    found, open_p99 = _value(loaded.run, 99), _value(_stalled_open().run, 99)
    is_blind = found is not None and open_p99 is not None and found * BLIND_FACTOR < open_p99
    check = _near("closed loop: p99 through the same stall (blind to it)", truth, SERVICE_MS, found)
    return check._replace(
        tolerance=f"{check.tolerance}; {BLIND_FACTOR:g} times below the open loop's",
        ok=check.ok and is_blind,
    )


def jitter_median() -> Check:
    return _open_percentile(_jittered(), 50, "open loop: p50 of exponential jitter")


def jitter_p90() -> Check:
    return _open_percentile(_jittered(), 90, "open loop: p90 of exponential jitter")


def capacity_of_one_lane() -> Check:
    """Answers per second can be no more than the lane gives, and are as many as it did give."""
    loaded = _loaded(CAPACITY, clients=(CAPACITY_CLIENTS,), seconds=SHORT_SECONDS)
    record = loaded.record
    lasted_s = float(record.went_ns.max() - record.came_ns.min()) / NS_PER_S
    truth, most = len(record.went_ns) / lasted_s, 1000 / SERVICE_MS
    measured = loaded.run.ok_per_second
    return Check(
        name=f"closed loop: throughput of {CAPACITY_CLIENTS} clients on one lane of {SERVICE_MS:g} ms",
        expected=f"{figure(truth)}/s (no more than {figure(most)})",
        measured=f"{figure(measured)}/s",
        tolerance=f"{TOLERANCE:.0%}",
        ok=abs(measured - truth) <= TOLERANCE * truth and measured <= most * (1 + TOLERANCE),
    )


def errors_are_counted() -> Check:
    loaded = _loaded(FAILING, rates=(FAILING_RATE,), seconds=SHORT_SECONDS)
    run = loaded.run
    planted = sum(FAILING.fails(number) for number in range(len(loaded.record.came_ns)))
    counted = run.errors.get("wrong status", 0)
    return Check(
        name="open loop: answers of 503, and the verdict on them",
        expected=f"{planted} of {run.queries}, INVALID",
        measured=f"{counted} of {run.queries}, {run.verdict.state.upper()}",
        tolerance="none",
        ok=counted == planted and run.verdict.state == "invalid",
    )


LOAD_CHECKS: tuple[CheckFunction, ...] = (
    open_p99_through_a_stall,
    open_maximum_through_a_stall,
    closed_p99_is_blind_to_the_stall,
    jitter_median,
    jitter_p90,
    capacity_of_one_lane,
    errors_are_counted,
)


@cache
def _stalled_open() -> Loaded:
    return _loaded(STALL, rates=(STALL_RATE,), seconds=STALL_SECONDS, arrivals="constant")


@cache
def _stalled_closed() -> Loaded:
    return _loaded(STALL, clients=(1,), seconds=CLOSED_SECONDS)


@cache
def _jittered() -> Loaded:
    return _loaded(JITTER, rates=(JITTER_RATE,), seconds=JITTER_SECONDS)


def _loaded(behaviour: LoadBehaviour, **settings: object) -> Loaded:
    """One run without a warm-up, so that the server's record and the tool's samples are the same requests."""
    with fake_process(behaviour) as fake:
        config = LoadConfig.model_validate(
            {"url": fake.url, "request": {"method": "GET"}, "warm_up_seconds": 0, **settings}
        )
        result = run_load(config)
        return Loaded(result.runs[0], behaviour, fake.record())


def _ideal_ms(loaded: Loaded) -> NDArray[np.float64]:
    loop = loaded.run.loop
    assert loop.kind == "open"
    offsets_ns = arrival_offsets_ns(loop.rate, loop.seconds, loop.arrivals, loop.seed)
    return ideal_latency_ms(loaded.behaviour, offsets_ns.tolist())


def _open_percentile(loaded: Loaded, percent: float, name: str) -> Check:
    truth = float(np.percentile(loaded.from_intended_ms(), percent))
    ideal = float(np.percentile(_ideal_ms(loaded), percent))
    return _near(name, truth, ideal, _value(loaded.run, percent))


def _value(run: LoadRun, percent: float) -> float | None:
    entry = run.percentile(percent)
    return entry.value if entry else None


def _near(name: str, truth_ms: float, ideal_ms: float, measured_ms: float | None) -> Check:
    """Right: near the server's record, and no less than the planted delay alone."""
    room_ms = TOLERANCE * truth_ms + FLOOR_MS
    is_right = (
        measured_ms is not None
        and abs(measured_ms - truth_ms) <= room_ms
        and measured_ms >= (1 - TOLERANCE) * ideal_ms
    )
    return Check(
        name=name,
        expected=f"{figure(truth_ms)} ms (planted: {figure(ideal_ms)})",
        measured="no value" if measured_ms is None else f"{figure(measured_ms)} ms",
        tolerance=f"{TOLERANCE:.0%} + {FLOOR_MS:g} ms",
        ok=is_right,
    )
