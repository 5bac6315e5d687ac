"""The stage function: everybody is started once, then visited round by round under every load."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from bench.load import validity
from bench.load.validity import LoadVerdict
from bench.progress import Report, Silent
from bench.service.bars import Round, bars_for, judge
from bench.service.config import ServiceConfig
from bench.service.contestants import OURS, Contestant, Pace, WithoutHttp
from bench.service.field import Field, open_field
from bench.service.heats import ALONE, HEATS, MANY, OPEN, rotated
from bench.service.record import Record
from bench.service.result import ContestantFacts, Judged, ServiceResult, Visit
from bench.service.rules import rules_of
from modelpack.environment import fingerprint
from modelpack.package import ModelPackage


def run_service(
    config: ServiceConfig, folder: Path | None = None, report: Report | None = None
) -> ServiceResult:
    """Measure our service, the naive endpoint and the same work in process, in turn.

    Raw samples and HdrHistogram logs are left in `folder`; without one they are not kept. Raises
    SettingsError, PackageError or ServerError before any load, TargetError where nothing is answered,
    WorkerError when a process of the measurement dies.
    """
    report = report or Silent()
    start = time.monotonic()
    record = Record(folder)
    report.stage("starting", 1)
    with open_field(config) as opened:
        facts = tuple(_facts(contestant) for contestant in opened.contestants)
        capacity = _capacity(config, opened)
        pace = Pace(
            warm_up_seconds=config.warm_up_seconds,
            seconds=config.seconds,
            timeout_seconds=config.timeout_seconds,
            rate=capacity * config.open_share,
            seed=config.seed,
        )
        _visit_all(record, opened.contestants, pace, config.rounds, report)
    best = _best_in_process(opened.contestants, record.visits)
    manifest = ModelPackage.open(config.package, verify=False).manifest
    bars = bars_for(
        best,
        [entry.name for entry in facts],
        workers=next(entry.processes for entry in facts if entry.name == OURS) - 1,
        network=str(manifest.lineage.get("network", "")),
    )
    rounds: Sequence[Round] = record.rounds
    judged = tuple(judge(bar, rounds, config.seed) for bar in bars)
    return ServiceResult(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=time.monotonic() - start,
        verdict=_verdict(judged, record.visits),
        model=f"{manifest.name}:{manifest.version}",
        artifact=opened.artifact,
        images=tuple((image.name, len(image.content), image.size) for image in opened.images),
        capacity=capacity,
        best_in_process=best,
        settings=config,
        environment=fingerprint(),
        rules=rules_of(config),
        contestants=facts,
        visits=tuple(record.visits),
        bars=judged,
    )


def _visit_all(
    record: Record, contestants: Sequence[Contestant], pace: Pace, rounds: int, report: Report
) -> None:
    per_round = sum(entry.takes(heat) for heat in HEATS.values() for entry in contestants)
    report.stage("measuring", rounds * per_round)
    for number in range(rounds):
        for heat in HEATS.values():
            for contestant in rotated([entry for entry in contestants if entry.takes(heat)], number):
                report.step(f"round {number + 1}: {contestant.name}, {heat.text}")
                paced = replace(pace, seed=pace.seed + number)
                record.visit(number + 1, heat, contestant, paced)


def _capacity(config: ServiceConfig, opened: Field) -> float:
    """Answers per second of our service at full load, not among the visits: it warms everything up, too."""
    ours = next(entry for entry in opened.contestants if entry.name == OURS)
    pace = Pace(config.warm_up_seconds, config.seconds, config.timeout_seconds, rate=1.0, seed=config.seed)
    return Record(None).visit(1, MANY, ours, pace).ok_per_second


def _best_in_process(contestants: Sequence[Contestant], visits: Sequence[Visit]) -> str:
    def throughput(name: str) -> float:
        rates = (
            visit
            for visit in visits
            if visit.contestant == name and visit.heat not in (ALONE.name, OPEN.name)
        )
        return median(visit.run.ok_per_second for visit in rates)

    names = [entry.name for entry in contestants if isinstance(entry, WithoutHttp) and entry.takes(MANY)]
    return max(names, key=throughput)


def _facts(contestant: Contestant) -> ContestantFacts:
    processes = len(contestant.pids())
    if isinstance(contestant, WithoutHttp):
        processes = contestant.processes
    else:
        processes -= 1  # the generator
    heats = tuple(heat.name for heat in HEATS.values() if contestant.takes(heat))
    return ContestantFacts(
        name=contestant.name, processes=processes, heats=heats, description=contestant.description
    )


def _verdict(bars: Sequence[Judged], visits: Sequence[Visit]) -> LoadVerdict:
    """INVALID where a bar is; noisy where others worked meanwhile."""
    faults = [f"{bar.text}: {reason}" for bar in bars if bar.state == "invalid" for reason in bar.reasons]
    loads = [visit.run.other_load for visit in visits if visit.run.verdict.noise and visit.run.other_load]
    noise = []
    if loads:
        noise.append(
            f"other processes used {min(loads):.0%} to {max(loads):.0%} of the CPUs during {len(loads)} of "
            f"{len(visits)} visits"
        )
    return validity.verdict(faults, noise=noise)
