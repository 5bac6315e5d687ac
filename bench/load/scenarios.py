"""MLPerf Inference's four scenarios on our own generator: what is sent, what is reported, when it is valid.

Source: MLPerf Inference rules. SingleStream: one query after the other, 90th percentile. MultiStream: queries
of 8 samples one after the other, 99th percentile. Server: Poisson arrivals, the rate of which 99 % are
answered within a bound. Offline: all samples in one query, samples per second. Percentiles are those that
early stopping lets a run claim (`bench.load.early_stopping`).
"""

from collections.abc import Callable

from bench.load import early_stopping
from bench.load.config import Bound, Driver, Scenario, ScenarioConfig, SweepConfig
from bench.load.loops import ClosedLoop
from bench.load.result import LoadRun, ScenarioResult
from bench.load.runner import Runner
from bench.load.samples import Samples
from bench.load.sweep_runs import run_sweep
from bench.timing import NS_PER_S

SHARES: dict[Scenario, float] = {"single_stream": 0.90, "multi_stream": 0.99, "server": 0.99}
METRICS: dict[Scenario, tuple[str, str]] = {
    "single_stream": ("90th percentile latency", "ms"),
    "multi_stream": ("99th percentile latency of a query", "ms"),
    "server": ("scheduled queries", "/s"),
    "offline": ("samples", "/s"),
}
"""What is reported, and its unit."""
PUBLISHED = ScenarioConfig()
OFFLINE_PROBE_SAMPLES = 64
"""A query of so many tells how large Offline's must be."""
PROBE_QUERIES = 10_000
OFFLINE_MARGIN = 1.1
"""More samples than the probe says the minimum time takes, as MLPerf's generator has it."""
SERVER_ATTEMPTS = 4
RETREAT = 1.05
"""Full-length runs of Server, and how much less each further one asks for: a search's steps are shorter."""


def run_scenario(scenario: Scenario, runner: Runner) -> ScenarioResult:
    """Run one scenario; whatever is missing makes it INVALID, with the reasons."""
    runner.begin(scenario, SERVER_ATTEMPTS)
    return SCENARIOS[scenario](runner, runner.config.scenario)


def _single_stream(runner: Runner, config: ScenarioConfig) -> ScenarioResult:
    return _stream("single_stream", runner, config, samples_per_query=1)


def _multi_stream(runner: Runner, config: ScenarioConfig) -> ScenarioResult:
    return _stream("multi_stream", runner, config, samples_per_query=config.samples_per_query)


def _stream(
    scenario: Scenario, runner: Runner, config: ScenarioConfig, *, samples_per_query: int
) -> ScenarioResult:
    loop = ClosedLoop(
        clients=1,
        samples_per_query=samples_per_query,
        warm_up_seconds=runner.config.warm_up_seconds,
        seconds=config.min_seconds,
        min_queries=config.min_queries,
        max_requests=runner.config.max_requests,
        max_seconds=config.max_seconds,
    )
    run, samples = runner.run(scenario, loop)
    stopping = early_stopping.judge_percentile(samples.latency_ms, SHARES[scenario])
    reasons = _missing(run, config.min_seconds, config.min_queries)
    if not stopping.is_met:
        reasons.append(f"early stopping needs {stopping.needed_queries} queries, there were {run.queries}")
    return _result(scenario, [run], reasons, config, value=stopping.estimate_ms, stopping=stopping)


def server_rate(runner: Runner, config: ScenarioConfig) -> float | None:
    """The rate that is set, else the highest that keeps the bound in short runs; None where none does."""
    if config.server_rate is not None:
        return config.server_rate
    bound = Bound(percent=100 * SHARES["server"], milliseconds=config.server_bound_ms)
    settings = runner.config.sweep or SweepConfig(bounds=(bound,))
    return run_sweep(settings.model_copy(update={"bounds": (bound,)}), runner).best_rate


def _server(runner: Runner, config: ScenarioConfig) -> ScenarioResult:
    rate = server_rate(runner, config)
    if rate is None:
        return without_rate(config, "own")
    runs = []
    for attempt in range(SERVER_ATTEMPTS):
        seconds = min(max(config.min_seconds, config.min_queries / rate), config.max_seconds)
        loop = runner.open_loop(rate, seconds, "poisson", runner.config.seed + attempt)
        run, samples = runner.run("server", loop)
        runs.append(run)
        stopping = early_stopping.judge_bound(samples.latency_ms, SHARES["server"], config.server_bound_ms)
        reasons = _missing(run, config.min_seconds, config.min_queries)
        if not stopping.is_met:
            reasons.append(
                f"too many queries took longer than {config.server_bound_ms:g} ms: early stopping would need "
                f"{stopping.needed_queries} in all, there were {run.queries}"
            )
        if not reasons or config.server_rate is not None:
            break
        rate /= RETREAT
    return _result("server", runs, reasons, config, value=_scheduled_rate(samples), stopping=stopping)


def _offline(runner: Runner, config: ScenarioConfig) -> ScenarioResult:
    probe, _ = runner.run("offline-probe", one_query(OFFLINE_PROBE_SAMPLES), config.max_seconds)
    probed = OFFLINE_PROBE_SAMPLES / probe.seconds
    count = max(config.min_samples, int(OFFLINE_MARGIN * config.min_seconds * probed))
    count = min(count, runner.config.max_requests, max(int(config.max_seconds * probed), 1))
    run, _ = runner.run("offline", one_query(count), config.max_seconds)
    reasons = _missing(run, config.min_seconds, 1)
    if count < config.min_samples:
        reasons.append(f"{count} samples, {config.min_samples} are the least")
    value = count / run.seconds if run.ok else None
    return _result("offline", [run], reasons, config, value=value, stopping=None)


def one_query(samples: int, seconds: float = 0.0) -> ClosedLoop:
    """Queries of `samples`, one after the other for `seconds`, at least one; not warmed up."""
    return ClosedLoop(
        clients=1,
        samples_per_query=samples,
        warm_up_seconds=0,
        seconds=seconds,
        min_queries=1,
        max_requests=PROBE_QUERIES if seconds else 1,
        max_seconds=max(seconds, 1.0),
    )


def _missing(run: LoadRun, min_seconds: float, min_queries: int) -> list[str]:
    reasons = [*run.verdict.faults, *run.verdict.generator_faults]
    if run.seconds < min_seconds:
        reasons.append(f"it lasted {run.seconds:.1f} s, {min_seconds:g} s are the least")
    if run.queries < min_queries:
        reasons.append(f"{run.queries} queries, {min_queries} are the least")
    return reasons


def _scheduled_rate(samples: Samples) -> float | None:
    """Queries over the time in which they were scheduled; the last one ends it and does not count."""
    last_s = float(samples.intended_ns.max()) / NS_PER_S if len(samples) else 0.0
    return (len(samples) - 1) / last_s if last_s > 0 else None


def _result(
    scenario: Scenario,
    runs: list[LoadRun],
    reasons: list[str],
    config: ScenarioConfig,
    *,
    value: float | None,
    stopping: early_stopping.EarlyStopping | None,
) -> ScenarioResult:
    last = runs[-1]
    return ScenarioResult(
        scenario=scenario,
        driver="own",
        metric=METRICS[scenario][0],
        unit=METRICS[scenario][1],
        value=value,
        is_valid=not reasons,
        reasons=tuple(reasons),
        queries=last.queries,
        samples_per_query=getattr(last.loop, "samples_per_query", 1),
        seconds=last.seconds,
        early_stopping=stopping,
        is_full_length=is_full_length(scenario, config),
        runs=tuple(run.name for run in runs),
        logs=None,
    )


def without_rate(config: ScenarioConfig, driver: Driver) -> ScenarioResult:
    """Server where no rate keeps the bound."""
    reason = f"no rate was found of which 99 % are answered within {config.server_bound_ms:g} ms"
    return ScenarioResult(
        scenario="server",
        driver=driver,
        metric=METRICS["server"][0],
        unit=METRICS["server"][1],
        value=None,
        is_valid=False,
        reasons=(reason,),
        queries=0,
        samples_per_query=1,
        seconds=0.0,
        early_stopping=None,
        is_full_length=is_full_length("server", config),
        runs=(),
        logs=None,
    )


def is_full_length(scenario: Scenario, config: ScenarioConfig) -> bool:
    """Whether the settings ask for at least the published minimum."""
    if config.min_seconds < PUBLISHED.min_seconds:
        return False
    if scenario == "offline":
        return config.min_samples >= PUBLISHED.min_samples
    return config.min_queries >= PUBLISHED.min_queries


SCENARIOS: dict[Scenario, Callable[[Runner, ScenarioConfig], ScenarioResult]] = {
    "single_stream": _single_stream,
    "multi_stream": _multi_stream,
    "server": _server,
    "offline": _offline,
}
