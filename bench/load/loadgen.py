"""The scenarios driven by MLPerf's own LoadGen: its settings, its verdict, its logs kept as they are."""

import importlib.util
import json
from pathlib import Path
from typing import Any

from bench.load.config import Scenario, ScenarioConfig
from bench.load.loadgen_messages import LoadgenDone, LoadgenOrder
from bench.load.result import ScenarioResult
from bench.load.runner import Runner
from bench.load.scenarios import (
    METRICS,
    OFFLINE_MARGIN,
    OFFLINE_PROBE_SAMPLES,
    is_full_length,
    one_query,
    server_rate,
    without_rate,
)
from bench.worker_process import WorkerProcess
from modelpack.errors import RuntimeUnavailableError

FOLDER = "loadgen"
DETAIL_LOG = "mlperf_log_detail.txt"
LINE_MARK = ":::MLLOG "
PROBE_SECONDS = 2.0
PROBE_AND_RUN = 2
MS_PER_S = 1000

METRIC_KEYS: dict[Scenario, tuple[str, float]] = {
    "single_stream": ("early_stopping_latency_ss", 1e-6),
    "multi_stream": ("early_stopping_latency_ms", 1e-6),
    "server": ("result_scheduled_samples_per_sec", 1.0),
    "offline": ("result_samples_per_second", 1.0),
}
"""LoadGen's name of the metric -> factor to the unit of `METRICS`."""
CHECKS = {
    "result_min_duration_met": "the minimum duration was not reached",
    "result_min_queries_met": "the minimum of queries was not reached",
    "early_stopping_met": "early stopping was not satisfied",
    "result_perf_constraints_met": "too many queries took longer than the bound",
}


def check_installed() -> None:
    """Raises RuntimeUnavailableError where LoadGen is missing."""
    if importlib.util.find_spec("mlperf_loadgen") is None:
        raise RuntimeUnavailableError(
            "driver loadgen: MLPerf's LoadGen is not installed. Run `pip install mlcommons-loadgen`, or use "
            "driver=own."
        )


def run_with_loadgen(scenario: Scenario, runner: Runner) -> ScenarioResult:
    """One scenario in a process of its own; INVALID is what LoadGen calls so, or a sample that failed."""
    folder = runner.folder / FOLDER / scenario
    folder.mkdir(parents=True, exist_ok=True)
    runner.begin(scenario, PROBE_AND_RUN)
    order = _order(scenario, runner, folder.resolve())
    if order is None:
        return without_rate(runner.config.scenario, "loadgen")
    runner.tell(f"{scenario}, driven by LoadGen")
    with WorkerProcess(f"LoadGen {scenario}", "bench.load.loadgen_process") as worker:
        done = worker.ask(order, LoadgenDone, f"running {scenario}")
    return read_logs(scenario, order.config, folder, done)


def read_logs(scenario: Scenario, config: ScenarioConfig, folder: Path, done: LoadgenDone) -> ScenarioResult:
    """LoadGen's detailed log as a result."""
    said = _entries(folder / DETAIL_LOG)
    reasons = [reason for key, reason in CHECKS.items() if said.get(key) is False]
    if said.get("result_validity") != "VALID" and not reasons:
        reasons.append("LoadGen calls it INVALID")
    reasons += [
        " ".join(said[key].replace("* ", "").split())
        for key in ("result_invalid_reason", "early_stopping_result")
        if reasons and said.get(key)
    ]
    reasons += [f"{count} samples failed: {how}" for how, count in done.failed.items()]
    key, factor = METRIC_KEYS[scenario]
    value = said.get(key)
    return ScenarioResult(
        scenario=scenario,
        driver="loadgen",
        metric=METRICS[scenario][0],
        unit=METRICS[scenario][1],
        value=value * factor if value else None,
        is_valid=not reasons,
        reasons=tuple(reasons),
        queries=int(said.get("result_query_count", 0)),
        samples_per_query=int(said.get("effective_samples_per_query", 1)),
        seconds=done.seconds,
        early_stopping=None,
        is_full_length=is_full_length(scenario, config),
        runs=(),
        logs=f"{FOLDER}/{scenario}",
    )


def _order(scenario: Scenario, runner: Runner, folder: Path) -> LoadgenOrder | None:
    """LoadGen asks beforehand what it will find: a probe on our own generator tells, a search for Server.

    None where the search finds no rate.
    """
    config = runner.config.scenario
    samples = {"multi_stream": config.samples_per_query, "offline": OFFLINE_PROBE_SAMPLES}.get(scenario, 1)
    seconds = 0.0 if scenario == "offline" else PROBE_SECONDS
    probe, _ = runner.run(f"{scenario}-probe", one_query(samples, seconds), config.max_seconds)
    queries_per_second = probe.queries / probe.seconds
    rate: float | None = OFFLINE_MARGIN * samples * queries_per_second
    if scenario == "server":
        rate = server_rate(runner, config)
    if rate is None:
        return None
    return LoadgenOrder(
        target=runner.target,
        scenario=scenario,
        config=config,
        expected_latency_ms=MS_PER_S / queries_per_second,
        rate=rate,
        timeout_seconds=config.max_seconds if scenario == "offline" else runner.timeout_s,
        seed=runner.config.seed,
        folder=folder,
    )


def _entries(path: Path) -> dict[str, Any]:
    """Key -> last value of the detailed log."""
    found: dict[str, Any] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith(LINE_MARK):
            entry = json.loads(line.removeprefix(LINE_MARK))
            found[entry["key"]] = entry["value"]
    return found
