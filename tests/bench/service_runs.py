"""Visits of known figures, and the result that they make."""

import numpy as np

from bench.load.meters import ServerUse
from bench.load.validity import verdict
from bench.service.bars import Seen, bars_for, judge
from bench.service.config import ServiceConfig
from bench.service.contestants import NAIVE, OURS, OURS_INT8
from bench.service.heats import ALONE, FEW, HEATS, MANY, OPEN
from bench.service.result import ContestantFacts, ServiceResult, Visit
from modelpack.environment import fingerprint
from tests.bench.load_runs import closed, made_samples, opened, summarised

ONE, BEST = "in-process-1x1", "in-process-2x1"
NAMES = (OURS, NAIVE, OURS_INT8, ONE, BEST)
QUERIES = 600
LATE = verdict([], ["the generator was late"])


def seen(name="run", latency_ms=10.0, per_second=100.0, memory_mb=200.0, is_late=False, heat=FEW):
    """One visit whose every request took the same time; `per_second` as if it had been measured."""
    loop = opened() if heat is OPEN else closed(clients=heat.clients)
    samples = made_samples(np.full(QUERIES, latency_ms))
    changes = {"ok_per_second": per_second}
    if memory_mb is not None:
        changes["server"] = ServerUse(cpu=1.0, memory_bytes=int(memory_mb * 1e6))
    if is_late:
        changes["verdict"] = LATE
    run = summarised(loop, samples, name).model_copy(update=changes)
    return Seen(run, samples.latency_ms)


def rounds(count=4, late=(), **changes):
    """`count` rounds in which everything is met; `changes`: (name)_(heat) with - as _ -> figures of `seen`.

    late: (round, contestant, heat) whose generator was late.
    """
    rates = {OURS: 95.0, NAIVE: 80.0, OURS_INT8: 200.0, ONE: 50.0, BEST: 100.0}
    made = []
    for number in range(count):
        visits = {}
        for name in NAMES:
            for heat in HEATS.values():
                figures = {"per_second": rates[name], **changes.get(f"{name}/{heat.name}", {})}
                visits[name, heat.name] = seen(
                    f"round{number + 1}-{heat.name}-{name}",
                    heat=heat,
                    is_late=(number, name, heat.name) in late,
                    **figures,
                )
        made.append(visits)
    return made


def judged(name, made, network="smp:PSPNet/resnet18", workers=2):
    """One bar of these rounds."""
    bars = {bar.name: bar for bar in bars_for(BEST, NAMES, workers, network)}
    return judge(bars[name], made, seed=0)


def service_result(made) -> ServiceResult:
    """As `run_service` would give it."""
    bars = tuple(judge(bar, made, 0) for bar in bars_for(BEST, NAMES, 2, "smp:PSPNet/mobilenet_v2"))
    faults = [f"{bar.text}: {reason}" for bar in bars if bar.state == "invalid" for reason in bar.reasons]
    takes = {ONE: (ALONE,), BEST: (FEW, MANY)}
    facts = tuple(
        ContestantFacts(
            name=name,
            processes=3,
            heats=tuple(heat.name for heat in takes.get(name, HEATS.values())),
            description={"runtime": {"runtime": "onnxruntime", "version": "1"}},
        )
        for name in NAMES
    )
    return ServiceResult(
        created="2026-01-02T03:04:05+00:00",
        seconds=60.0,
        verdict=verdict(faults),
        model="student:1",
        artifact="onnx-fp32",
        images=(("street.jpg", 48_000, (360, 480)),),
        capacity=95.0,
        best_in_process=BEST,
        settings=ServiceConfig(package="package"),
        environment=fingerprint(),
        rules={"naive": "plain"},
        contestants=facts,
        visits=tuple(
            Visit(round=number, heat=heat, contestant=name, run=entry.run)
            for number, visits in enumerate(made, 1)
            for (name, heat), entry in visits.items()
            if any(facts_of.name == name and heat in facts_of.heats for facts_of in facts)
        ),
        bars=bars,
    )
