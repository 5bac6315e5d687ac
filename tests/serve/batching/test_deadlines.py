"""Joining makes nobody late who would have been in time, and who is late costs nothing."""

import threading
import time

import numpy as np
import pytest

from modelpack.runtimes.onnxruntime import OnnxRuntime
from serve import service
from tests.serve.batching.conftest import picture
from tests.serve.test_images import mask_of
from tests.tiny_package import tiny_answer, write_tiny_package

SLOW_RUN_S = 0.1


@pytest.fixture
def stuck_decoder(monkeypatch):
    """The image that is never decoded: all others have reason to wait for it."""
    released = threading.Event()
    never = picture(99)
    real_decode = service.decode_image

    def decode(encoded, **limits):
        image = real_decode(encoded, **limits)
        if np.array_equal(image, never):
            released.wait(30)
        return image

    monkeypatch.setattr(service, "decode_image", decode)
    yield never
    released.set()


def test_a_request_does_not_wait_past_its_deadline_for_company(serve_joined, stuck_decoder, monkeypatch):
    joined = serve_joined(max_delay_ms=600_000)
    joined.runs.opened.set()
    real_run = OnnxRuntime.run_gathered

    def run_slowly(runtime, images):
        time.sleep(SLOW_RUN_S)
        return real_run(runtime, images)

    monkeypatch.setattr(OnnxRuntime, "run_gathered", run_slowly)
    image = picture(0)
    for seed in (1, 2):
        joined.send(picture(seed)).result()  # how long a run takes is known from now on
    joined.send(stuck_decoder)
    answer = joined.send(image, x_deadline_ms="3000").result()
    assert answer.status_code == 200
    assert np.array_equal(mask_of(answer), tiny_answer(image))


def test_company_is_waited_for_as_long_as_may_be(serve_joined, stuck_decoder):
    joined = serve_joined(max_delay_ms=20)
    joined.runs.opened.set()
    joined.send(stuck_decoder)
    assert joined.send(picture(0)).result().status_code == 200
    assert joined.runs.images == [1]


def test_a_request_whose_time_is_over_costs_no_run(serve_joined):
    joined = serve_joined()
    joined.keep_busy()
    in_time = joined.send(picture(0))
    late = joined.send(picture(1), x_deadline_ms="300")
    joined.wait_for(2)
    assert late.result().status_code == 504
    assert late.result().json()["error"] == "DeadlineError"
    joined.wait_for(1)
    joined.runs.opened.set()
    assert in_time.result().status_code == 200
    assert joined.runs.images == [1, 1]
    assert joined.metric("afdcd_batch_dropped_total") == 1


def test_the_most_urgent_request_goes_first_whatever_its_size(serve_joined, tmp_path):
    joined = serve_joined(write_tiny_package(tmp_path / "p", size=None).path)
    joined.keep_busy()
    patient = joined.send(picture(0, 24, 32))
    joined.wait_for(1)
    urgent = joined.send(picture(1, 32, 40), x_deadline_ms="60000")
    joined.wait_for(2)
    joined.runs.opened.set()
    assert (patient.result().status_code, urgent.result().status_code) == (200, 200)
    assert [run[0].shape[1] for run in joined.runs.seen] == [48, 32, 24]


def test_the_timeout_of_v2_is_a_deadline_too(serve_joined):
    joined = serve_joined()
    joined.keep_busy()
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 48, 64, 3]}
    tensor["data"] = picture(0).ravel().tolist()
    infer = {"inputs": [tensor], "parameters": {"timeout": 200_000}}
    late = joined.client.post("/v2/models/tiny/infer", json=infer)
    joined.runs.opened.set()
    assert late.status_code == 504
    assert joined.runs.images == [1]
