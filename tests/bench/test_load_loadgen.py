"""MLPerf's own LoadGen: it drives, its logs stay, and its INVALID is ours."""

import json

import pytest

from bench.load.config import LoadConfig, ScenarioConfig
from bench.load.loadgen import read_logs
from bench.load.loadgen_messages import LoadgenDone
from bench.load.run import run_load
from modelpack.errors import RuntimeUnavailableError
from tests.tiny_package import write_tiny_package

LOGS = {"mlperf_log_summary.txt", "mlperf_log_detail.txt", "mlperf_log_accuracy.json"}


@pytest.fixture(scope="module")
def driven(tmp_path_factory):
    """(result, folder) of Server with a bound that nothing keeps, on a package in process."""
    folder = tmp_path_factory.mktemp("loadgen")
    package = write_tiny_package(folder / "tiny").path
    scenario = {"min_seconds": 0.2, "min_queries": 20, "server_rate": 50, "server_bound_ms": 0.0001}
    config = LoadConfig.model_validate(
        {
            "package": package,
            "in_process": True,
            "threads": 1,
            "driver": "loadgen",
            "scenarios": ["server"],
            "scenario": {**scenario, "max_seconds": 5},
        }
    )
    return run_load(config, folder / "out"), folder / "out"


def test_loadgens_invalid_is_ours(driven):
    result, _ = driven
    (scenario,) = result.scenarios
    assert (scenario.driver, scenario.is_valid) == ("loadgen", False)
    assert "too many queries took longer than the bound" in scenario.reasons
    assert result.verdict.state == "invalid"


def test_loadgens_logs_are_kept_beside_the_result(driven):
    result, folder = driven
    logs = folder / result.scenarios[0].logs
    assert {file.name for file in logs.iterdir()} >= LOGS
    summary = (logs / "mlperf_log_summary.txt").read_text()
    assert "Result is : INVALID" in summary
    assert "Scenario : Server" in summary


def test_loadgens_figures_are_reported(driven):
    scenario = driven[0].scenarios[0]
    assert scenario.queries >= 20
    assert scenario.value > 0


def log_of(folder, **entries):
    folder.mkdir(exist_ok=True)
    lines = [f":::MLLOG {json.dumps({'key': key, 'value': value})}" for key, value in entries.items()]
    (folder / "mlperf_log_detail.txt").write_text("\n".join(["noise", *lines]))
    return folder


def read(folder, failed=(), scenario="single_stream"):
    done = LoadgenDone(seconds=3.0, failed=dict(failed))
    return read_logs(scenario, ScenarioConfig(), folder, done)


def test_a_valid_log_is_valid_in_milliseconds(tmp_path):
    found = read(log_of(tmp_path, result_validity="VALID", early_stopping_latency_ss=25_218_600,
                        result_query_count=2048))  # fmt: skip
    assert (found.is_valid, found.value, found.queries) == (True, pytest.approx(25.2186), 2048)


def test_samples_that_failed_make_it_invalid_though_loadgen_does_not_know(tmp_path):
    found = read(log_of(tmp_path, result_validity="VALID"), failed={"wrong status": 3})
    assert found.reasons == ("3 samples failed: wrong status",)


def test_an_invalid_log_says_why(tmp_path):
    entries = {
        "result_validity": "INVALID",
        "result_min_duration_met": False,
        "early_stopping_met": True,
        "result_invalid_reason": "Increase expected QPS so the loadgen\npre-generates more. ",
    }
    assert read(log_of(tmp_path, **entries), scenario="offline").reasons == (
        "the minimum duration was not reached",
        "Increase expected QPS so the loadgen pre-generates more.",
    )


def test_without_loadgen_the_way_to_get_it_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    config = LoadConfig(url="http://127.0.0.1:1", driver="loadgen", scenarios=("server",))
    with pytest.raises(RuntimeUnavailableError, match="pip install mlcommons-loadgen"):
        run_load(config, tmp_path)
