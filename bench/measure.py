"""The stage function: every case timed in its session's own process, in turn, round after round."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain

import numpy as np

from bench import statistics, validity
from bench.config import BOUNDARIES, BenchConfig, Boundary
from bench.messages import Opened, OpenOrder, TimeOrder, WarmUp, WarmUpOrder
from bench.plan import Plan, PlannedSession, make_plan
from bench.progress import Report, Silent
from bench.result import BenchResult, CaseResult, Comparison, ImageUsed, SessionResult
from bench.warmup import rule_text
from bench.worker_process import WorkerProcess
from modelpack.environment import fingerprint
from modelpack.runtimes import RUNTIMES

log = logging.getLogger(__name__)


@dataclass
class RunningCase:
    """A case that is being measured, and its samples so far."""

    session: PlannedSession
    worker: WorkerProcess
    boundary: Boundary
    batch: int
    warm_up: WarmUp | None = None
    peak_memory_bytes: int = 0
    rounds_ms: list[tuple[float, ...]] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.session.name} {self.boundary} batch {self.batch}"


def measure(config: BenchConfig, report: Report | None = None) -> BenchResult:
    """Measure the packages of `config` on this machine.

    One worker process per session (package x artifact x runtime x threads). For each batch size, smallest
    first, all cases are warmed up; then every round visits every case for a slice of its time, in an order
    drawn from the seed.

    Raises PackageError, UnknownNameError or SettingsError before anything starts; WorkerError when a worker
    fails or dies, naming the session and what it was doing.
    """
    report = report or Silent()
    start = time.monotonic()
    plan = make_plan(config)
    with ExitStack() as stack:
        workers = {s.name: stack.enter_context(WorkerProcess(s.name)) for s in plan.sessions}
        opened = _open_all(plan, config, workers, report)
        meter = validity.LoadMeter(worker.pid for worker in workers.values())
        cases = list(chain.from_iterable(_phases(plan, config, workers, report)))
        other_load = meter.others()
    results = tuple(_case_result(case) for case in cases)
    return BenchResult(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=time.monotonic() - start,
        verdict=_overall(results, other_load),
        other_load=other_load,
        settings=config,
        environment=fingerprint(),
        boundaries={boundary: BOUNDARIES[boundary] for boundary in config.boundaries},
        rules=_rules(config),
        images=tuple(ImageUsed(name=i.name, sha256=i.sha256, size=i.size) for i in plan.images),
        skipped=plan.skipped,
        sessions=tuple(_session_result(s, opened[s.name]) for s in plan.sessions),
        cases=results,
        comparisons=tuple(_comparisons(plan, results, config.seed)),
    )


def _open_all(
    plan: Plan, config: BenchConfig, workers: Mapping[str, WorkerProcess], report: Report
) -> dict[str, Opened]:
    report.stage("loading", len(plan.sessions))
    opened = {}
    for session in plan.sessions:
        report.step(session.name)
        opened[session.name] = workers[session.name].open(
            OpenOrder(
                package=session.package.path.resolve(),
                artifact=session.artifact.name,
                runtime=session.runtime,
                runtime_table=dict(RUNTIMES),
                device=config.device,
                threads=session.threads,
                input_size=session.input_size,
                images=tuple(image.content for image in plan.images),
            )
        )
    return opened


def _phases(
    plan: Plan, config: BenchConfig, workers: Mapping[str, WorkerProcess], report: Report
) -> Iterator[list[RunningCase]]:
    """One phase per batch size, ascending, so that the peak of memory so far is that of the batch size."""
    rng = np.random.default_rng(config.seed)
    smallest = min(min(session.batch_sizes) for session in plan.sessions)
    for batch in sorted(config.batch_sizes):
        cases = [
            RunningCase(session, workers[session.name], boundary, batch)
            for session in plan.sessions
            for boundary in session.cases(config.boundaries, batch, smallest)
        ]
        if not cases:
            continue
        _warm_up(cases, config, report)
        report.stage(f"measuring batch {batch}", config.rounds * len(cases))
        for round_index in range(config.rounds):
            for position in rng.permutation(len(cases)):
                report.step(str(cases[position]))
                _visit(cases[position], config, round_index)
        yield cases


def _warm_up(cases: list[RunningCase], config: BenchConfig, report: Report) -> None:
    report.stage(f"warming up batch {cases[0].batch}", len(cases))
    for case in cases:
        report.step(str(case))
        order = WarmUpOrder(boundary=case.boundary, batch=case.batch, rule=config.warm_up)
        case.warm_up = case.worker.warm_up(order)


def _visit(case: RunningCase, config: BenchConfig, round_index: int) -> None:
    samples = None
    if config.samples is not None:
        samples = config.samples // config.rounds + (round_index < config.samples % config.rounds)
    timed = case.worker.time(
        TimeOrder(
            boundary=case.boundary,
            batch=case.batch,
            settle_runs=config.settle_runs,
            seconds=config.seconds / config.rounds,
            samples=samples,
        )
    )
    case.rounds_ms.append(timed.samples_ms)
    case.peak_memory_bytes = timed.peak_memory_bytes


def _case_result(case: RunningCase) -> CaseResult:
    assert case.warm_up is not None
    return CaseResult.of_rounds(
        case.session.name,
        case.boundary,
        case.batch,
        case.rounds_ms,
        peak_memory_bytes=case.peak_memory_bytes,
        warm_up=case.warm_up,
        verdict=validity.judge_case(case.rounds_ms, case.warm_up),
    )


def _session_result(session: PlannedSession, opened: Opened) -> SessionResult:
    manifest, artifact = session.package.manifest, session.artifact
    return SessionResult(
        name=session.name,
        label=session.label,
        package_name=manifest.name,
        package_version=manifest.version,
        artifact=artifact.name,
        precision=artifact.precision,
        sha256=artifact.sha256,
        size_bytes=artifact.size_bytes,
        input_size=session.input_size,
        runtime=session.runtime,
        threads=session.threads,
        device=opened.device,
        provider=opened.provider,
        description=opened.description,
        open_ms=opened.open_ms,
        claims=tuple(claim for claim in manifest.claims if claim.artifact == artifact.name),
    )


def _comparisons(plan: Plan, cases: tuple[CaseResult, ...], seed: int) -> Iterator[Comparison]:
    """The first session against each of the others, wherever both were measured alike."""
    baseline = plan.sessions[0].name
    own = {(case.boundary, case.batch): case for case in cases if case.session == baseline}
    for case in cases:
        if case.session != baseline and (base := own.get((case.boundary, case.batch))) is not None:
            yield Comparison(
                baseline=baseline,
                session=case.session,
                boundary=case.boundary,
                batch=case.batch,
                speedup=statistics.median_ratio(base.rounds_ms, case.rounds_ms, seed),
            )


def _overall(cases: tuple[CaseResult, ...], other_load: float | None) -> validity.Verdict:
    reasons = validity.judge_load(other_load)
    for case in cases:
        name = f"{case.session} {case.boundary} batch {case.batch}"
        reasons += [f"{name}: {reason}" for reason in case.verdict.reasons]
    return validity.verdict(reasons)


def _rules(config: BenchConfig) -> dict[str, str]:
    amount = f"{config.samples} runs" if config.samples is not None else f"{config.seconds:g} s"
    return {
        "sampling": (
            f"{amount} per case in {config.rounds} rounds; a round visits every case of a batch size, in an "
            f"order drawn from the seed; the first {config.settle_runs} runs of a visit are not recorded"
        ),
        "isolation": "one process per session, one call at a time on the whole machine",
        "clock": "time.perf_counter_ns around the boundary, garbage collection held back",
        "warm_up": rule_text(config.warm_up),
        **statistics.RULES,
        **{f"valid: {name}": rule for name, rule in validity.RULES.items()},
    }
