"""Interleaving: every case visited in turn, round after round, each in its session's own process."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from bench import validity
from bench.config import BenchConfig, Boundary
from bench.energy import EnergyMeter
from bench.machine_watch import MachineReading, MachineWatch
from bench.messages import TimeOrder, WarmUp, WarmUpOrder
from bench.plan import PlannedSession
from bench.progress import Report
from bench.result import CaseResult
from bench.worker_process import WorkerProcess
from modelpack.runtimes.runtime import StageTimes


@dataclass(frozen=True)
class OpenSession:
    """A session whose worker has loaded its graph."""

    plan: PlannedSession
    worker: WorkerProcess
    device: str


@dataclass
class RunningCase:
    """A case that is being measured, and what is known of it so far."""

    session: OpenSession
    boundary: Boundary
    batch: int
    meters: list[EnergyMeter]
    warm_up: WarmUp | None = None
    peak_memory_bytes: int = 0
    rounds_ms: list[tuple[float, ...]] = field(default_factory=list)
    stages: list[StageTimes] = field(default_factory=list)
    machine: list[MachineReading] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.session.plan.name} {self.boundary} batch {self.batch}"

    def result(self) -> CaseResult:
        assert self.warm_up is not None
        return CaseResult.of_rounds(
            self.session.plan.name,
            self.boundary,
            self.batch,
            self.rounds_ms,
            peak_memory_bytes=self.peak_memory_bytes,
            warm_up=self.warm_up,
            verdict=validity.judge_case(self.rounds_ms, self.warm_up, self.machine),
            stages=self.stages,
            energy=[meter.energy() for meter in self.meters],
            machine=self.machine,
        )


def measured_cases(
    sessions: Mapping[str, OpenSession], config: BenchConfig, watch: MachineWatch, report: Report
) -> Iterator[RunningCase]:
    """All cases with their samples, one phase per batch size.

    Batch sizes ascend, so that the peak of memory so far is that of the batch size.
    """
    rng = np.random.default_rng(config.seed)
    smallest = min(min(session.plan.batch_sizes) for session in sessions.values())
    for batch in sorted(config.batch_sizes):
        cases = [
            RunningCase(session, boundary, batch, watch.energy_meters(session.device))
            for session in sessions.values()
            for boundary in session.plan.cases(config.boundaries, batch, smallest)
        ]
        if not cases:
            continue
        _warm_up(cases, config, report)
        report.stage(f"measuring batch {batch}", config.rounds * len(cases))
        for round_index in range(config.rounds):
            for position in rng.permutation(len(cases)):
                report.step(str(cases[position]))
                _visit(cases[position], config, round_index, watch)
        yield from cases


def _warm_up(cases: list[RunningCase], config: BenchConfig, report: Report) -> None:
    report.stage(f"warming up batch {cases[0].batch}", len(cases))
    for case in cases:
        report.step(str(case))
        order = WarmUpOrder(boundary=case.boundary, batch=case.batch, rule=config.warm_up)
        case.warm_up = case.session.worker.warm_up(order)


def _visit(case: RunningCase, config: BenchConfig, round_index: int, watch: MachineWatch) -> None:
    samples = None
    if config.samples is not None:
        samples = config.samples // config.rounds + (round_index < config.samples % config.rounds)
    order = TimeOrder(
        boundary=case.boundary,
        batch=case.batch,
        settle_runs=config.settle_runs,
        seconds=config.seconds / config.rounds,
        samples=samples,
        stage_runs=config.stage_runs,
    )
    for meter in case.meters:
        meter.start()
    timed = case.session.worker.time(order)
    runs = config.settle_runs + len(timed.samples_ms) + len(timed.stages)
    for meter in case.meters:
        meter.stop(images=runs * case.batch)
    case.machine.append(watch.read(case.session.worker.pid, case.session.device))
    case.rounds_ms.append(timed.samples_ms)
    case.stages += timed.stages
    case.peak_memory_bytes = timed.peak_memory_bytes
