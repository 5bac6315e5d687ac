"""What becomes one run of the graph, and that nobody can tell by the answers."""

import numpy as np
import pytest

from modelpack.errors import SettingsError
from modelpack.settings import parse_settings
from serve import ServeSettings
from serve.sizing import worker_count
from tests.serve.batching.conftest import picture
from tests.serve.test_images import mask_of
from tests.tiny_package import tiny_answer, write_tiny_package


def answers(futures):
    return [future.result() for future in futures]


def test_requests_that_wait_for_the_graph_become_one_run(serve_joined):
    joined = serve_joined()
    first = joined.keep_busy()
    images = [picture(seed) for seed in range(8)]
    futures = [joined.send(image) for image in images]
    joined.wait_for(8)
    joined.runs.opened.set()
    for image, answer in zip(images, answers(futures), strict=True):
        assert np.array_equal(mask_of(answer), tiny_answer(image))
    assert first.result().status_code == 200
    assert joined.runs.images == [1, 8]


def test_runs_their_images_and_waits_are_counted(serve_joined):
    joined = serve_joined()
    joined.keep_busy()
    futures = [joined.send(picture(seed)) for seed in range(3)]
    joined.wait_for(3)
    joined.runs.opened.set()
    answered = answers(futures)
    assert joined.metric("afdcd_batch_images_count") == 2
    assert joined.metric("afdcd_batch_images_sum") == 4
    assert joined.metric("afdcd_batch_wait_seconds_count") == 4
    assert joined.metric("afdcd_batch_waiting") == 0
    assert all("batch;dur=" in answer.headers["server-timing"] for answer in answered)


@pytest.mark.parametrize("response_format", ["png", "confidence", "stats"])
def test_answers_have_the_bytes_that_they_have_alone(serve_joined, tmp_path, response_format):
    joined = serve_joined(write_tiny_package(tmp_path / "p", confidence=True).path)
    images = [picture(seed, 40 + seed, 70) for seed in range(6)]
    query = f"?format={response_format}"
    joined.runs.opened.set()
    alone = [joined.send(image, query).result().content for image in images]
    joined.runs.opened.clear()
    joined.runs.seen.clear()
    joined.keep_busy()
    futures = [joined.send(image, query) for image in images]
    joined.wait_for(6)
    joined.runs.opened.set()
    assert [answer.content for answer in answers(futures)] == alone
    assert joined.runs.images == [1, 6]


def test_no_run_has_more_images_than_may_be(serve_joined):
    joined = serve_joined(max_images=3)
    joined.keep_busy()
    futures = [joined.send(picture(seed)) for seed in range(5)]
    joined.wait_for(5)
    joined.runs.opened.set()
    answers(futures)
    assert joined.runs.images == [1, 3, 2]


def test_a_preferred_number_goes_before_the_rest(serve_joined):
    joined = serve_joined(preferred_sizes=(2, 4))
    joined.keep_busy()
    futures = [joined.send(picture(seed)) for seed in range(7)]
    joined.wait_for(7)
    joined.runs.opened.set()
    answers(futures)
    assert joined.runs.images == [1, 4, 2, 1]


def test_images_of_other_sizes_have_runs_of_their_own(serve_joined, tmp_path):
    joined = serve_joined(write_tiny_package(tmp_path / "p", size=None).path)
    joined.keep_busy()
    images = [picture(seed, *((32, 40) if seed % 2 else (24, 56))) for seed in range(6)]
    futures = [joined.send(image) for image in images]
    joined.wait_for(6)
    joined.runs.opened.set()
    for image, answer in zip(images, answers(futures), strict=True):
        assert np.array_equal(mask_of(answer), tiny_answer(image))
    assert joined.runs.images == [1, 3, 3]
    assert all(len({part.shape[1:] for part in run}) == 1 for run in joined.runs.seen)


def test_sizes_that_are_padded_to_the_same_share_a_run(serve_joined, tmp_path):
    joined = serve_joined(write_tiny_package(tmp_path / "p", size=None, size_multiple=16).path)
    joined.keep_busy()
    images = [picture(0, 33, 40), picture(1, 48, 48), picture(2, 40, 47)]
    futures = [joined.send(image) for image in images]
    joined.wait_for(3)
    joined.runs.opened.set()
    for image, answer in zip(images, answers(futures), strict=True):
        assert np.array_equal(mask_of(answer), tiny_answer(image))
    assert joined.runs.images == [1, 3]


def test_the_images_of_a_run_have_no_more_pixels_than_one_image_may(serve_joined, tmp_path):
    joined = serve_joined(write_tiny_package(tmp_path / "p", size=None).path, max_pixels=2 * 48 * 64)
    joined.keep_busy()
    futures = [joined.send(picture(seed)) for seed in range(3)]
    joined.wait_for(3)
    joined.runs.opened.set()
    assert [answer.status_code for answer in answers(futures)] == [200] * 3
    assert joined.runs.images == [1, 2, 1]


def test_a_client_alone_waits_for_nobody(serve_joined):
    joined = serve_joined(max_delay_ms=600_000, deadline_s=60)
    joined.runs.opened.set()
    assert [joined.send(picture(seed)).result().status_code for seed in range(3)] == [200] * 3
    assert joined.runs.images == [1, 1, 1]


def test_a_graph_that_takes_one_image_at_a_time_gets_one(serve_joined, tmp_path):
    joined = serve_joined(write_tiny_package(tmp_path / "p", batch=1).path)
    assert joined.client.get("/v1/model").json()["batching"] is None
    assert joined.send(picture(0)).result().status_code == 200
    assert joined.runs.images == []


def test_the_model_says_how_its_requests_are_joined(serve_joined):
    joined = serve_joined(max_images=6, max_delay_ms=3, preferred_sizes=(4,))
    described = joined.client.get("/v1/model").json()["batching"]
    assert described == {"max_images": 6, "max_delay_ms": 3.0, "preferred_sizes": [4]}
    assert joined.client.get("/v2/models/tiny/config").json()["dynamic_batching"] == {
        "preferred_batch_size": [4, 6],
        "max_queue_delay_microseconds": 3000,
    }


def test_on_a_cpu_nothing_is_joined_unless_asked(client):
    assert client.get("/v1/model").json()["batching"] is None
    assert "dynamic_batching" not in client.get("/v2/models/tiny/config").json()


def test_a_worker_that_joins_has_threads_for_decoding(package):
    settings = ServeSettings(package=package, device="cpu", batching={"enabled": True})
    laid, _ = worker_count(settings)
    assert (laid.threads, laid.codec_threads) == (1, "auto")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batching": {"max_images": 4, "preferred_sizes": [8]}}, r"\(8\) must not exceed max_images \(4\)"),
        ({"batching": {"enabled": True}, "codec_threads": 0}, "set codec_threads to 1 or more"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(package, values, message):
    with pytest.raises(SettingsError, match=message):
        parse_settings(ServeSettings, {"package": package, **values}, "serve")
