"""Durations read on `/metrics` as those of prometheus_client's histogram do."""

import re

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from serve.durations import Durations
from serve.exposition import families

BOUNDS_S = (0.001, 0.25, 1.0)
SEEN = [("decode", 0.0), ("decode", 0.001), ("decode", 0.2), ("infer", 0.25), ("infer", 7.0)]


@pytest.fixture
def registries():
    """Of ours and of theirs, after the same values."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    durations = Durations("seconds", "How long.", "stage", BOUNDS_S, ours)
    histogram = Histogram("seconds", "How long.", ("stage",), buckets=BOUNDS_S, registry=theirs)
    for stage, seconds in SEEN:
        durations.observe(stage, seconds)
        histogram.labels(stage).observe(seconds)
    return ours, theirs


def without_times(text):
    return re.sub(rb"(_created\S*) \S+", rb"\1", text)


def test_the_page_is_the_same(registries):
    ours, theirs = map(generate_latest, registries)
    assert without_times(ours) == without_times(theirs)
    assert b'seconds_bucket{le="0.25",stage="decode"} 3.0' in ours


def test_what_workers_tell_each_other_is_the_same(registries):
    (ours,), (theirs,) = map(families, registries)
    told, expected = (
        {(name, frozenset(labels.items())): value for name, labels, value in family["samples"]}
        for family in (ours, theirs)
    )
    assert told.keys() == expected.keys()
    assert all(told[key] == expected[key] for key in told if not key[0].endswith("_created"))


def test_a_name_is_registered_once():
    registry = CollectorRegistry()
    Durations("seconds", "How long.", "stage", BOUNDS_S, registry)
    with pytest.raises(ValueError, match="Duplicated"):
        Durations("seconds", "How long.", "stage", BOUNDS_S, registry)
