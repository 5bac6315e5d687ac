"""The stage function: closed loops, open loops, the sweep and the scenarios, in that order."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from bench.load import early_stopping, validity
from bench.load.config import LoadConfig
from bench.load.generators import Generators
from bench.load.loadgen import check_installed, run_with_loadgen
from bench.load.open_target import open_target
from bench.load.result import LoadResult, LoadRun, ScenarioResult, SweepResult
from bench.load.runner import Runner
from bench.load.scenarios import run_scenario
from bench.load.sweep_runs import run_sweep
from bench.load.validity import LoadVerdict
from bench.progress import Report, Silent
from bench.statistics import RULES as STATISTICS_RULES
from modelpack.environment import fingerprint


def run_load(config: LoadConfig, folder: Path | None = None, report: Report | None = None) -> LoadResult:
    """Load what `config` names and say what came of it.

    Raw samples, HdrHistogram logs and LoadGen's logs are left in `folder`; without one they are not kept.
    Raises SettingsError, PackageError, ServerError or RuntimeUnavailableError before any load, TargetError
    where nothing is answered, WorkerError when a generator dies. What a server does wrong otherwise is in the
    result, and in its verdict.
    """
    config, report = config.with_something_to_do(), report or Silent()
    if config.driver == "loadgen":
        check_installed()
    start = time.monotonic()
    with ExitStack() as stack:
        place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="afdcd-load-")))
        report.stage("starting", 1)
        opened = stack.enter_context(open_target(config))
        generators = stack.enter_context(Generators(config.processes, opened.target))
        runner = Runner(config, opened, generators, place, report)
        _loops(config, runner)
        plain = tuple(run.name for run in runner.runs)
        sweep = run_sweep(config.sweep, runner) if config.sweep and not config.scenarios else None
        drive = run_with_loadgen if config.driver == "loadgen" else run_scenario
        scenarios = tuple(drive(scenario, runner) for scenario in config.scenarios)
        model = opened.model
        if generators.description is not None:
            model = {**(model or {}), "runtime": generators.description}
    return LoadResult(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=time.monotonic() - start,
        verdict=_overall(runner.runs, plain, sweep, scenarios),
        target=opened.name,
        bodies=tuple((body.name, len(body.content)) for body in opened.bodies),
        model=model,
        settings=config,
        environment=fingerprint(),
        rules=_rules(config),
        runs=tuple(runner.runs),
        sweep=sweep,
        scenarios=scenarios,
    )


def _loops(config: LoadConfig, runner: Runner) -> None:
    """Closed loops first: rates in % are shares of the best of them."""
    runner.begin("loading", len(config.clients) + len(config.rates))
    best = max(
        (runner.closed(clients, config.seconds).ok_per_second for clients in config.clients), default=0
    )
    for rate in config.rates:
        asked = float(rate.removesuffix("%")) / 100 * best if isinstance(rate, str) else rate
        if asked > 0:
            runner.open(asked, config.seconds)


def _overall(
    runs: Sequence[LoadRun],
    plain: tuple[str, ...],
    sweep: SweepResult | None,
    scenarios: tuple[ScenarioResult, ...],
) -> LoadVerdict:
    """`plain` runs count by themselves; the steps of a search are meant to fail at times, its end counts."""
    faults = [f"{entry.scenario}: {reason}" for entry in scenarios for reason in entry.reasons]
    for run in runs:
        if run.name in plain:
            told = run.verdict.faults + run.verdict.generator_faults
            faults += [f"{run.name}: {reason}" for reason in told]
    noise = list(_noise(runs))
    if sweep is not None and sweep.best_rate is None:
        faults.append(f"sweep: {sweep.note}")
    elif sweep is not None and sweep.note:
        noise.append(f"sweep: {sweep.note}")
    return validity.verdict(faults, noise=noise)


def _noise(runs: Sequence[LoadRun]) -> Iterator[str]:
    """One sentence for all runs that others disturbed."""
    loads = [run.other_load for run in runs if run.verdict.noise and run.other_load is not None]
    if loads:
        yield (
            f"other processes used {min(loads):.0%} to {max(loads):.0%} of the CPUs during {len(loads)} of "
            f"{len(runs)} runs"
        )


def _rules(config: LoadConfig) -> dict[str, str]:
    rules = {
        "open loop": f"{config.arrivals} arrivals fixed beforehand from the seed; latency counts from the "
        "intended send, whether or not the generator or a connection was ready",
        "closed loop": "every client sends when its last answer has come; latency counts from the send, so "
        "what a stalled server keeps from being sent is not seen",
        "latency": "of requests answered as expected, and of those given up after timeout_seconds with the "
        "time that was waited; other failures are counted, and have none",
        "warm-up": f"{config.warm_up_seconds:g} s of the same load before each loop, not recorded",
        "clock": "time.monotonic_ns; the end of an answer is noted in the callback that completes it",
        "isolation": f"{config.processes} generator process(es), apart from the process that evaluates",
        **STATISTICS_RULES,
        **{f"valid: {name}": rule for name, rule in validity.RULES.items()},
    }
    if config.scenarios:
        rules["early stopping"] = (
            "t queries over the latency need the least h under it with P[Binomial(h + t, 1 - p) <= t] <= "
            f"{1 - early_stopping.CONFIDENCE:.2f}; the percentile reported is the latency of the t-th "
            "slowest query for the largest t with h + t <= n"
        )
    return rules
