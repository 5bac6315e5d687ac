"""Our HdrHistogram logs are what the published package reads."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from bench.load.hdr import HIGHEST_US, SIGNIFICANT_DIGITS, encode, write_log

PERCENTS = (0, 10, 50, 90, 99, 99.9, 100)


def theirs(values_us):
    histogram = HdrHistogram(1, HIGHEST_US, SIGNIFICANT_DIGITS)
    for value in values_us.tolist():
        histogram.record_value(value)
    return histogram


@pytest.mark.parametrize(
    "values_us",
    [
        np.array([0, 1, 2, 2047, 2048, 2049, 4095, 4096, HIGHEST_US]),
        np.full(100_000, 5123),
        np.random.default_rng(0).lognormal(9, 2, 5000).astype(np.int64),
    ],
    ids=["edges", "one value often", "spread"],
)
def test_the_published_package_reads_the_same_histogram(values_us):
    read, expected = HdrHistogram.decode(encode(values_us)), theirs(values_us)
    assert read.get_total_count() == len(values_us)
    for percent in PERCENTS:
        assert read.get_value_at_percentile(percent) == expected.get_value_at_percentile(percent)


def test_every_value_keeps_three_digits():
    values_us = np.unique(np.geomspace(1, HIGHEST_US, 4000).astype(np.int64))
    for value in values_us[::7].tolist():
        read = HdrHistogram.decode(encode(np.array([value])))
        assert read.get_max_value() == pytest.approx(value, rel=10.0**-SIGNIFICANT_DIGITS)


def test_a_log_holds_one_histogram_for_every_second(tmp_path):
    random = np.random.default_rng(1)
    ends_s, latency_ms = random.uniform(0, 5, 3000), random.exponential(20, 3000)
    start = datetime(2026, 1, 2, tzinfo=UTC)
    write_log(tmp_path / "run.hlog", "open-100", start, ends_s, latency_ms)

    whole = HdrHistogram(1, HIGHEST_US, SIGNIFICANT_DIGITS)
    reader = HistogramLogReader(str(tmp_path / "run.hlog"), whole)
    intervals = []
    while (interval := reader.get_next_interval_histogram()) is not None:
        intervals.append(interval)
        whole.add(interval)
    assert [entry.get_total_count() for entry in intervals] == np.bincount(ends_s.astype(int)).tolist()
    expected_us = np.sort(latency_ms)[int(0.99 * 3000) - 1] * 1000
    assert whole.get_value_at_percentile(99) == pytest.approx(expected_us, rel=10.0**-SIGNIFICANT_DIGITS)
    assert reader.get_start_time_sec() == start.timestamp()
    assert {entry.get_tag() for entry in intervals} == {"open-100"}


def test_what_is_longer_than_an_hour_is_recorded_as_an_hour():
    assert HdrHistogram.decode(encode(np.array([2 * HIGHEST_US]))).get_max_value() >= HIGHEST_US * 0.999
