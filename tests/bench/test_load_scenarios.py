"""MLPerf's scenarios on a server of known delay, in virtual time: metrics, and when they are INVALID."""

import pytest

from bench.load.config import ScenarioConfig
from bench.load.scenarios import SCENARIOS, run_scenario
from bench.selftest.fake_lanes import LoadBehaviour
from tests.bench.virtual_runner import virtual_runner

ONE_LANE = LoadBehaviour(service_ms=5)
ROUNDING = 1e-3
SHORT = {"min_seconds": 10, "min_queries": 100, "min_samples": 3000, "max_seconds": 100}


def result(scenario, tmp_path, behaviour=ONE_LANE, **settings):
    runner = virtual_runner(behaviour, tmp_path, scenario={**SHORT, **settings})
    return run_scenario(scenario, runner)


def test_single_stream_is_the_90th_percentile_of_one_query_after_the_other(tmp_path):
    found = result("single_stream", tmp_path)
    assert found.is_valid
    assert (found.value, found.queries) == (pytest.approx(5, abs=ROUNDING), 2000)
    assert (found.metric, found.unit) == ("90th percentile latency", "ms")


def test_multi_stream_is_the_99th_percentile_of_queries_of_eight_samples(tmp_path):
    found = result("multi_stream", tmp_path, min_seconds=40)
    assert found.is_valid
    assert (found.value, found.samples_per_query) == (pytest.approx(40, abs=ROUNDING), 8)


def test_multi_stream_is_invalid_with_fewer_queries_than_early_stopping_needs(tmp_path):
    found = result("multi_stream", tmp_path, min_seconds=1)
    assert (found.is_valid, found.value) == (False, None)
    assert found.reasons == ("early stopping needs 662 queries, there were 100",)


def test_offline_is_samples_per_second_of_one_query(tmp_path):
    found = result("offline", tmp_path)
    assert found.is_valid
    assert found.value == pytest.approx(200, rel=ROUNDING)
    assert (found.queries, found.samples_per_query) == (1, 3000)
    assert found.seconds > SHORT["min_seconds"]


def test_server_finds_the_highest_poisson_rate_within_the_bound(tmp_path):
    found = result("server", tmp_path, server_bound_ms=30, min_seconds=30)
    assert found.is_valid
    assert 100 < found.value < 200
    assert found.early_stopping.is_met


def test_a_stated_rate_beyond_the_server_is_invalid_and_keeps_its_figure(tmp_path):
    found = result("server", tmp_path, server_rate=220, server_bound_ms=30)
    assert not found.is_valid
    assert found.value == pytest.approx(220, rel=0.1)
    assert "the server did not keep up" in found.reasons[0]
    assert "too many queries took longer than 30 ms" in found.reasons[-1]


def test_a_bound_that_no_rate_keeps_is_invalid(tmp_path):
    found = result("server", tmp_path, server_bound_ms=4)
    assert (found.is_valid, found.value) == (False, None)
    assert found.reasons == ("no rate was found of which 99 % are answered within 4 ms",)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_run_that_is_cut_short_is_invalid(scenario, tmp_path):
    found = result(scenario, tmp_path, min_seconds=60, max_seconds=5, server_rate=50)
    assert not found.is_valid
    assert any("60 s are the least" in reason for reason in found.reasons)


def test_failed_requests_make_a_scenario_invalid(tmp_path):
    slow_at_times = LoadBehaviour(service_ms=3, jitter_ms=0.5)
    runner = virtual_runner(slow_at_times, tmp_path, scenario=SHORT, request={"timeout_seconds": 0.004})
    found = run_scenario("single_stream", runner)
    assert "queries failed" in found.reasons[0]
    assert not found.is_valid


@pytest.mark.parametrize(
    ("scenario", "settings", "is_full"),
    [
        ("single_stream", {}, True),
        ("single_stream", {"min_seconds": 599}, False),
        ("server", {"min_queries": 99}, False),
        ("offline", {"min_queries": 1}, True),
        ("offline", {"min_samples": 24_575}, False),
    ],
)
def test_only_the_published_length_compares_with_others(scenario, settings, is_full):
    from bench.load.scenarios import is_full_length

    assert is_full_length(scenario, ScenarioConfig(**settings)) == is_full
