"""The limits of `/v2`: images, bytes, compression, the queue and time."""

import gzip
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from starlette.testclient import TestClient
from tritonclient.utils import InferenceServerException

from modelpack.runtimes.onnxruntime import OnnxRuntime
from serve import ServeSettings, create_app
from serve.model import load_model
from tests.serve.conftest import SIZE, app_client, running_server, wait_until
from tests.serve.pictures import gradient, jpeg_header, png, png_header
from tests.serve.tritons import (
    HEADER_LENGTH,
    binary_request,
    described,
    element,
    error_of,
    pixels,
    tensor_of,
    triton,
)

IMAGE = gradient(*SIZE)
GOOD = png(IMAGE)
INFER = "/v2/models/tiny/infer"
MAX_BYTES = 100_000
MAX_PIXELS = 20_000


@pytest.fixture(scope="module")
def client(package) -> Iterator[TestClient]:
    settings = ServeSettings(package=package, threads=1, max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS)
    with app_client(settings) as client:
        yield client


@pytest.mark.parametrize(
    ("file", "status"),
    [
        (b"just text", 415),
        (b"GIF89a" + bytes(50), 415),
        (GOOD[: len(GOOD) // 2], 422),
        (png_header(20_000, 20_000), 413),
        (jpeg_header(13_000, 13_000), 413),
    ],
)
def test_bad_images_are_refused_as_they_are_by_v1(client, file, status):
    body, headers = binary_request(
        {"inputs": [described("encoded_image", "BYTES", [1, 1], len(file) + 4)]}, element(file)
    )
    for answer in (
        client.post(INFER, content=body, headers=headers),
        client.post(INFER, content=file, headers={HEADER_LENGTH: "0"}),
    ):
        assert answer.status_code == status
        error_of(answer)


def several(*encoded: bytes, **parameters) -> tuple[bytes, dict[str, str]]:
    buffer = b"".join(map(element, encoded))
    tensor = described("encoded_image", "BYTES", [len(encoded), 1], len(buffer))
    return binary_request({"inputs": [tensor], "parameters": parameters}, buffer)


def test_the_pixels_of_all_images_of_a_batch_count_together(client):
    file = png(gradient(100, 150))
    body, headers = several(file)
    assert client.post(INFER, content=body, headers=headers).status_code == 200
    body, headers = several(file, file)
    answer = client.post(INFER, content=body, headers=headers)
    assert (answer.status_code, "30000 pixels together" in error_of(answer)) == (413, True)


def test_images_of_different_sizes_do_not_fit_into_one_answer_of_their_own_size(client):
    for size, status in (("model", 200), ("original", 400)):
        body, headers = several(GOOD, png(gradient(30, 40)), size=size)
        assert client.post(INFER, content=body, headers=headers).status_code == status


def test_a_body_over_the_limit_is_413(client):
    assert client.post(INFER, content=bytes(MAX_BYTES + 1)).status_code == 413


@pytest.mark.parametrize(("encoding", "squeeze"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_body_that_grows_beyond_the_limit_is_413(client, encoding, squeeze):
    bomb = squeeze(bytes(50_000_000))
    assert len(bomb) < MAX_BYTES
    answer = client.post(INFER, content=bomb, headers={"Content-Encoding": encoding})
    assert (answer.status_code, str(MAX_BYTES) in error_of(answer)) == (413, True)


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"plain", "gzip", 400),
        (gzip.compress(b"{}", mtime=0)[:-4], "gzip", 400),
        (zlib.compress(b"{}") + b"more", "deflate", 400),
        (b"{}", "br", 415),
    ],
)
def test_a_damaged_or_unknown_encoding_is_refused(client, body, encoding, status):
    answer = client.post(INFER, content=body, headers={"Content-Encoding": encoding})
    assert answer.status_code == status
    error_of(answer)


def test_a_model_is_loaded_as_its_package_says(client):
    answer = client.post("/v2/repository/models/tiny/load", json={"parameters": {"config": "{}"}})
    assert answer.status_code == 400
    error_of(answer)


def test_before_the_model_is_loaded_the_answer_is_503(package, monkeypatch):
    opened = threading.Event()
    monkeypatch.setattr("serve.repository.load_model", lambda given: opened.wait(30) and load_model(given))
    with TestClient(create_app(ServeSettings(package=package, threads=1))) as client:
        for answer in (client.get("/v2/health/ready"), client.get("/v2/models/tiny/ready")):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            error_of(answer)
        assert client.get("/v2/health/live").status_code == 200
        opened.set()


def test_a_fault_of_ours_is_500_without_its_traceback(client, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(OnnxRuntime, "run", fail)
    answer = client.post(INFER, content=GOOD, headers={HEADER_LENGTH: "0"})
    assert answer.status_code == 500
    assert "secret" not in error_of(answer)


def test_the_requests_own_timeout_ends_it_with_504(slow_package):
    with running_server(slow_package) as server, triton(server) as client:
        with pytest.raises(InferenceServerException, match="no answer within 1 ms") as raised:
            client.infer("tiny", [pixels(IMAGE[None])], timeout=1000)
        assert raised.value.status() == "504"
        assert client.infer("tiny", [pixels(IMAGE[None])], timeout=20_000_000).as_numpy("mask").any()


def test_beyond_the_queue_requests_are_told_to_come_back(package: Path, monkeypatch):
    opened = threading.Event()
    run = OnnxRuntime.run

    def wait_and_run(runtime: OnnxRuntime, images: np.ndarray) -> dict:
        assert opened.wait(30)
        return run(runtime, images)

    def ask() -> httpx.Response:
        return client.post(INFER, content=GOOD, headers={HEADER_LENGTH: "0"})

    with app_client(ServeSettings(package=package, threads=1, active=1, queue_length=2)) as client:
        monkeypatch.setattr(OnnxRuntime, "run", wait_and_run)
        with ThreadPoolExecutor(3) as pool:
            waiting = [pool.submit(ask) for _ in range(3)]
            wait_until(lambda: "afdcd_queue_depth 2.0" in client.get("/metrics").text)
            refused = ask()
            opened.set()
            answers = [future.result() for future in waiting]
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    error_of(refused)
    assert [tensor_of(answer).shape for answer in answers] == [(1, *SIZE)] * 3
