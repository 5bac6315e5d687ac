"""The stage function: load every session that this machine can run, measure, and put the result together."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

from bench import energy, statistics, validity
from bench.config import BOUNDARIES, BenchConfig
from bench.machine_watch import MachineWatch
from bench.messages import Opened, OpenOrder
from bench.plan import Plan, PlannedSession, make_plan
from bench.progress import Report, Silent
from bench.result import BenchResult, CaseResult, Comparison, ImageUsed, SessionResult
from bench.rounds import OpenSession, measured_cases
from bench.warmup import rule_text
from bench.worker_process import UnavailableError, WorkerProcess
from modelpack.environment import fingerprint
from modelpack.errors import RuntimeUnavailableError
from modelpack.manifest import Artifact, Claim
from modelpack.package import ModelPackage
from modelpack.runtimes import RUNTIMES


def measure(
    config: BenchConfig, report: Report | None = None, watch: MachineWatch | None = None
) -> BenchResult:
    """Measure the packages of `config` on this machine; `watch` takes the place of this machine's own probes.

    One worker process per session (package x artifact x runtime x threads). For each batch size, smallest
    first, all cases are warmed up; then every round visits every case for a slice of its time, in an order
    drawn from the seed. A session that this machine cannot run is skipped, and the result says why.

    Raises PackageError, UnknownNameError or SettingsError before anything starts; RuntimeUnavailableError
    when no session can run here; WorkerError when a worker fails or dies, naming the session and what it was
    doing.
    """
    report, watch = report or Silent(), watch or MachineWatch.of_this_machine()
    start = time.monotonic()
    plan = make_plan(config)
    skipped = list(plan.skipped)
    with ExitStack() as stack:
        opened = _open_all(plan, config, stack, report, skipped)
        sessions = {session.plan.name: session for session, _ in opened}
        meter = validity.LoadMeter(session.worker.pid for session in sessions.values())
        cases = [case.result() for case in measured_cases(sessions, config, watch, report)]
        other_load, machine = meter.others(), watch.state(meter.stolen())
    return BenchResult(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=time.monotonic() - start,
        verdict=_overall(cases, validity.judge_machine(other_load, machine)),
        other_load=other_load,
        machine=machine,
        settings=config,
        environment=fingerprint(),
        boundaries={boundary: BOUNDARIES[boundary] for boundary in config.boundaries},
        rules=_rules(config),
        images=tuple(ImageUsed(name=i.name, sha256=i.sha256, size=i.size) for i in plan.images),
        skipped=tuple(skipped),
        sessions=tuple(_session_result(session.plan, reply, plan.packages) for session, reply in opened),
        cases=tuple(cases),
        comparisons=tuple(_comparisons(opened[0][0].plan.name, cases, config.seed)),
    )


def _open_all(
    plan: Plan, config: BenchConfig, stack: ExitStack, report: Report, skipped: list[str]
) -> list[tuple[OpenSession, Opened]]:
    """One worker per session; those that cannot run here end at once, and `skipped` says why."""
    report.stage("loading", len(plan.sessions))
    workers = {session.name: stack.enter_context(WorkerProcess(session.name)) for session in plan.sessions}
    opened = []
    for session in plan.sessions:
        report.step(session.name)
        worker = workers[session.name]
        try:
            reply = worker.open(_open_order(session, plan, config))
        except UnavailableError as error:
            skipped.append(str(error))
            worker.end()
        else:
            opened.append((OpenSession(session, worker, reply.device), reply))
    if not opened:
        raise RuntimeUnavailableError(f"nothing of this can run here: {' | '.join(skipped)}")
    return opened


def _open_order(session: PlannedSession, plan: Plan, config: BenchConfig) -> OpenOrder:
    return OpenOrder(
        package=session.package.path.resolve(),
        artifact=session.artifact.name,
        runtime=session.runtime,
        runtime_table=dict(RUNTIMES),
        device=config.device,
        threads=session.threads,
        input_size=session.input_size,
        images=tuple(image.content for image in plan.images),
    )


def _session_result(
    session: PlannedSession, opened: Opened, packages: Sequence[ModelPackage]
) -> SessionResult:
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
        choice=session.choice,
        device=opened.device,
        provider=opened.provider,
        description=opened.description,
        open_ms=opened.open_ms,
        claims=tuple(_claims_on(artifact, packages)),
    )


def _claims_on(artifact: Artifact, packages: Sequence[ModelPackage]) -> Iterator[Claim]:
    """What any of the packages claims of this very file, by its sha256."""
    seen: list[Claim] = []
    for manifest in (package.manifest for package in packages):
        names = {entry.name for entry in manifest.artifacts if entry.sha256 == artifact.sha256}
        for claim in manifest.claims:
            if claim.artifact in names and claim not in seen:
                seen.append(claim)
                yield claim


def _comparisons(baseline: str, cases: Sequence[CaseResult], seed: int) -> Iterator[Comparison]:
    """The baseline against each of the other sessions, wherever both were measured alike."""
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


def _overall(cases: Sequence[CaseResult], machine_reasons: Sequence[str]) -> validity.Verdict:
    reasons = list(machine_reasons)
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
        "stages": f"{config.stage_runs} further calls at the end of each visit, medians",
        "energy": energy.RULE,
        **statistics.RULES,
        **{f"valid: {name}": rule for name, rule in validity.RULES.items()},
    }
