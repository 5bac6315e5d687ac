"""A whole measurement on a server process, a served package and a package in process."""

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from bench.load import LoadConfig, run_load
from bench.load.hdr import HIGHEST_US, SIGNIFICANT_DIGITS
from bench.load.samples import Samples
from bench.selftest.fake_lanes import LoadBehaviour
from bench.selftest.fake_process import fake_process
from bench.worker_process import WorkerError
from modelpack.environment import fingerprint
from tests.tiny_package import write_tiny_package

RATE, SECONDS = 60.0, 1.0


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """(result, folder, requests that the server saw) of a closed and an open loop, without a warm-up."""
    folder = tmp_path_factory.mktemp("load")
    with fake_process(LoadBehaviour(service_ms=2)) as fake:
        config = LoadConfig.model_validate(
            {
                "url": fake.url,
                "request": {"method": "GET"},
                "clients": [2],
                "rates": [RATE],
                "arrivals": "constant",
                "seconds": SECONDS,
                "warm_up_seconds": 0,
                "processes": 2,
            }
        )
        return run_load(config, folder), folder, len(fake.record().came_ns)


def test_every_request_that_the_server_saw_is_in_the_result(measured):
    result, _, seen = measured
    assert [run.name for run in result.runs] == ["closed-2", "open-60"]
    assert sum(run.queries for run in result.runs) == seen
    assert result.runs[1].queries == RATE * SECONDS
    assert all(run.ok == run.queries for run in result.runs)


def test_raw_samples_are_kept_for_every_run(measured):
    result, folder, _ = measured
    for run in result.runs:
        samples = Samples.read(folder / "raw" / f"{run.name}.npz")
        assert len(samples) == run.queries
        assert float(np.quantile(samples.latency_ms, 0.5)) == run.percentile(50).value
        assert (samples.done_ns > samples.sent_ns).all()
        assert (samples.sent_ns >= samples.started_ns).all()


def test_the_hdr_log_holds_the_same_latencies(measured):
    result, folder, _ = measured
    run = result.runs[1]
    whole = HdrHistogram(1, HIGHEST_US, SIGNIFICANT_DIGITS)
    reader = HistogramLogReader(str(folder / "raw" / f"{run.name}.hlog"), whole)
    reader.add_next_interval_histogram()
    while reader.add_next_interval_histogram():
        pass
    assert whole.get_total_count() == run.queries
    assert whole.get_max_value() == pytest.approx(run.max_ms * 1000, rel=10.0**-SIGNIFICANT_DIGITS)


def test_few_samples_have_no_p99(measured):
    entry = measured[0].runs[1].percentile(99)
    assert (entry.value, entry.note) == (None, "n too small for p99 (needs 500)")


def test_generator_and_server_are_told_with_what_they_used(measured):
    for run in measured[0].runs:
        assert run.generator.cpu > 0
        assert run.generator.transport.connections >= 1
        assert run.server.memory_bytes > 1 << 20
        assert run.server.cpu >= 0


def test_the_result_says_where_it_was_measured(measured):
    assert measured[0].environment.keys() == fingerprint().keys()
    assert measured[0].model is None


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny_package(tmp_path_factory.mktemp("packages") / "tiny").path


def test_a_package_is_served_measured_and_stopped(tiny, tmp_path):
    config = LoadConfig.model_validate(
        {
            "package": tiny,
            "serve": {"threads": 1},
            "request": {"check": "same"},
            "clients": [2],
            "seconds": 0.5,
            "warm_up_seconds": 0,
        }
    )
    result = run_load(config, tmp_path)
    assert result.model["name"] == "tiny"
    assert result.target.endswith("/v1/segment")
    assert [name for name, _ in result.bodies] == ["000-image.png", "001-image.png"]
    run = result.runs[0]
    assert run.errors == {}
    assert run.statuses == {200: run.queries}
    assert run.server.memory_bytes > 1 << 20


def test_a_package_is_called_in_process(tiny, tmp_path):
    config = LoadConfig.model_validate(
        {
            "package": tiny,
            "in_process": True,
            "threads": 1,
            "scenarios": ["single_stream", "offline"],
            "scenario": {"min_seconds": 0.1, "min_samples": 100, "min_queries": 70, "batch": 4},
        }
    )
    result = run_load(config, tmp_path)
    single, offline = result.scenarios
    assert single.queries >= 70
    assert single.value > 0
    assert offline.samples_per_query >= 100
    assert offline.value > 0
    assert result.model["runtime"]["artifact"] == "onnx-fp32"
    assert not any(run.errors for run in result.runs)


@pytest.mark.parametrize(
    ("runtime", "sentence"),
    [("failing", "RuntimeError: no answer for a batch of 1"), ("dying", "ended with exit code 3")],
)
def test_a_generator_that_fails_or_dies_is_an_error_that_says_so(tiny, tmp_path, runtime, sentence):
    named = {"artifact": "onnx-fp32", "runtime": runtime}
    config = LoadConfig(package=tiny, in_process=True, rates=(50,), seconds=0.2, **named)
    with pytest.raises(WorkerError, match=sentence):
        run_load(config, tmp_path)


def test_a_rate_in_percent_is_a_share_of_the_best_closed_loop(tmp_path):
    with fake_process(LoadBehaviour(service_ms=1)) as fake:
        config = LoadConfig.model_validate(
            {
                "url": fake.url,
                "request": {"method": "GET"},
                "clients": [1, 2],
                "rates": ["50%"],
                "seconds": 0.3,
                "warm_up_seconds": 0,
            }
        )
        *closed, opened = run_load(config).runs
    assert opened.loop.rate == pytest.approx(0.5 * max(run.ok_per_second for run in closed))
