"""Who runs with whom and when, by a clock that the test holds."""

import asyncio
import math
from unittest import mock

import numpy as np
import pytest

from modelpack.manifest import Artifact
from modelpack.package import ModelPackage
from serve.batching.bucket import MARGIN_S, Bucket, Waiting
from serve.batching.contract import is_joining, most_images
from serve.batching.estimate import RunTimes
from serve.batching.settings import BatchingSettings
from serve.timing import Timings
from tests.tiny_package import write_tiny_package

SIZE = 48, 64
RUN_S = 1.0


def waiting(deadline, arrived=0.0, images=1, **given):
    answer = mock.Mock(spec=asyncio.Future)
    answer.done.return_value = False
    return Waiting(np.zeros((images, *SIZE, 3), np.uint8), deadline, arrived, Timings(), answer, **given)


def known_times(**seconds):
    """Every number of images always took so long: `one=1.0`."""
    numbers = {"one": 1, "two": 2, "four": 4, "eight": 8}
    times = RunTimes()
    for name, took_s in seconds.items():
        for _ in range(100):
            times.add(SIZE, numbers[name], took_s)
    return times


def bucket_of(*requests, full=(8,), max_delay_s=0.1, times=None):
    bucket = Bucket(SIZE, full, max_delay_s, times or known_times(one=RUN_S))
    for request in requests:
        bucket.add(request)
    return bucket


@pytest.mark.parametrize(
    ("images", "expected_s"), [(1, 1.0), (2, 1.5), (3, 2.25), (4, 3.0), (8, 3.0), (16, 6.0)]
)
def test_a_run_is_expected_to_take_what_its_neighbours_took(images, expected_s):
    times = known_times(one=1.0, two=1.5, eight=3.0)
    assert times.longest_s(SIZE, images) == pytest.approx(expected_s)


def test_larger_images_that_were_never_seen_are_expected_to_cost_as_much_more():
    assert known_times(one=1.0).usual_s((96, 64), 1) == pytest.approx(2.0)
    assert known_times(one=1.0).usual_s((24, 64), 1) == pytest.approx(1.0)


def test_runs_that_vary_are_planned_for_at_their_longest():
    times = RunTimes()
    for seconds in (1.0, 2.0) * 50:
        times.add(SIZE, 1, seconds)
    assert times.longest_s(SIZE, 1) > 2.0 > times.usual_s(SIZE, 1) > 1.0


def test_the_way_from_a_run_to_the_answer_counts():
    times = known_times(one=1.0)
    times.add_finishing(0.5)
    assert times.usual_s(SIZE, 1) == pytest.approx(1.5)


def test_a_run_starts_when_the_first_has_waited_long_enough():
    bucket = bucket_of(waiting(100.0, arrived=3.0), waiting(50.0, arrived=4.0))
    assert bucket.starts_at(more_may_come=True) == pytest.approx(3.1)


def test_a_run_starts_while_the_most_urgent_can_still_be_in_time():
    bucket = bucket_of(waiting(100.0), waiting(10.0), max_delay_s=60.0)
    assert bucket.starts_at(more_may_come=True) == pytest.approx(10.0 - 2 * RUN_S - MARGIN_S)


def test_a_run_starts_at_once_when_nobody_comes_or_it_is_full():
    assert bucket_of(waiting(100.0)).starts_at(more_may_come=False) == -math.inf
    assert bucket_of(waiting(100.0, images=8)).starts_at(more_may_come=True) == -math.inf
    assert bucket_of(waiting(100.0), full=(1, 8)).starts_at(more_may_come=True) == -math.inf
    assert bucket_of(waiting(100.0, runs_alone=True)).starts_at(more_may_come=True) == -math.inf


def test_the_most_urgent_goes_first():
    late, soon, sooner = waiting(100.0), waiting(60.0), waiting(50.0)
    assert bucket_of(late, soon, sooner, full=(2,)).take(now=0.0) == [sooner, soon]


def test_nobody_joins_who_would_make_another_late():
    urgent, others = waiting(2.5), [waiting(100.0) for _ in range(5)]
    assert bucket_of(urgent, *others).take(now=0.0) == [urgent, others[0]]


def test_who_is_late_anyway_holds_nobody_back():
    late, others = waiting(0.5), [waiting(100.0) for _ in range(5)]
    assert bucket_of(late, *others).take(now=0.0) == [late, *others]


def test_a_request_of_more_images_than_fit_runs_alone():
    large, small = waiting(50.0, images=20), waiting(100.0)
    bucket = bucket_of(large, small)
    assert [bucket.take(now=0.0), bucket.take(now=0.0)] == [[large], [small]]


def test_who_is_to_run_alone_does():
    alone, other, third = waiting(50.0, runs_alone=True), waiting(60.0), waiting(70.0)
    bucket = bucket_of(alone, other, third)
    assert [bucket.take(now=0.0), bucket.take(now=0.0)] == [[alone], [other, third]]


def test_whose_time_is_over_or_client_gone_is_lost():
    over, gone, well = waiting(1.0), waiting(50.0), waiting(60.0)
    gone.answer.done.return_value = True
    bucket = bucket_of(over, gone, well)
    assert bucket.take_lost(now=2.0) == [over, gone]
    assert bucket.take(now=2.0) == [well]


@pytest.fixture(scope="module")
def dynamic(tmp_path_factory) -> ModelPackage:
    return write_tiny_package(tmp_path_factory.mktemp("batching") / "p", size=None)


def plan(*profiles):
    details = {"profiles": [[list(shape) for shape in profile] for profile in profiles]}
    return Artifact(
        name="p", path="p", kind="tensorrt", precision="fp16", sha256="0" * 64, size_bytes=1, details=details
    )


def test_a_plan_takes_as_many_images_as_a_profile_for_their_size(dynamic):
    artifact = plan(
        ((1, 32, 32, 3), (4, 48, 64, 3), (6, 64, 64, 3)),
        ((1, 32, 32, 3), (8, 32, 32, 3), (16, 32, 32, 3)),
    )
    assert most_images(dynamic.manifest, artifact, (48, 64)) == 6
    assert most_images(dynamic.manifest, artifact, (32, 32)) == 16
    assert most_images(dynamic.manifest, dynamic.artifact(), (48, 64)) is None


def test_a_graph_of_a_fixed_batch_takes_that_many(tmp_path):
    package = write_tiny_package(tmp_path / "p", batch=2)
    assert most_images(package.manifest, package.artifact(), SIZE) == 2


@pytest.mark.parametrize(
    ("enabled", "device", "has_codec_threads", "expected"),
    [
        ("auto", "cuda:0", True, True),
        ("auto", "cuda:0", False, False),
        ("auto", "cpu", True, False),
        (True, "cpu", True, True),
        (False, "cuda:0", True, False),
    ],
)
def test_left_to_itself_it_joins_on_gpus(enabled, device, has_codec_threads, expected):
    assert is_joining(BatchingSettings(enabled=enabled), device, has_codec_threads) is expected
