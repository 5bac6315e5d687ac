"""The Python client against a running service."""

import asyncio
import re
import subprocess
import sys
import threading
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import numpy as np
import pytest

from afdcd.client import AsyncClient, Client, Question, ServiceError
from modelpack.png import encode_png_rgb
from tests.serve.conftest import running_server
from tests.tiny_package import tiny_answer, write_tiny_package

ROOT = Path(__file__).parents[2]
EXAMPLE_URL = "http://127.0.0.1:8000"
IMAGE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
EXAMPLE_TIMEOUT_S = 60


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    package = write_tiny_package(tmp_path_factory.mktemp("client") / "tiny").path
    with running_server(package) as server:
        yield server.url


@pytest.fixture
def client(url):
    with Client(url) as client:
        yield client


def test_mask_of_pixels_bytes_or_a_file_is_a_numpy_array(client, tmp_path):
    file = tmp_path / "photo.png"
    file.write_bytes(encode_png_rgb(IMAGE))
    for image in (IMAGE, file.read_bytes(), file):
        np.testing.assert_array_equal(client.mask(image), tiny_answer(IMAGE))


def test_a_question_says_how_the_answer_is_written(client):
    (first,) = client.stats(IMAGE, Question(classes=("class1",)))["classes"]
    assert first["pixels"] == (tiny_answer(IMAGE) == 1).sum()
    answer = client.segment(IMAGE, Question(format="overlay", alpha=0.3, legend=True, size="model"))
    assert answer.media_type == "image/jpeg"
    assert answer.origin.startswith("tiny;version=1;")


def test_a_refusal_is_an_error_with_the_reason(client):
    with pytest.raises(ServiceError, match="415: ") as caught:
        client.mask(b"no image")
    assert (caught.value.status, caught.value.error) == (415, "UnsupportedImageError")
    assert caught.value.request_id
    with pytest.raises(ServiceError, match="nobody"):
        client.mask(IMAGE, Question(model="nobody"))


def test_a_batch_answers_each_image(client):
    good, bad, last = client.segment_batch([IMAGE, b"no image", IMAGE], Question(format="stats"))
    assert good.unwrap().json()["width"] == 64
    assert bad.error is not None
    assert bad.error.status == 415
    with pytest.raises(ServiceError, match="415"):
        bad.unwrap()
    assert last.unwrap().content == good.unwrap().content


@pytest.mark.parametrize("response_format", ["stats", "npy", "png"])
def test_a_batch_out_of_a_zip_says_the_same_as_lines(response_format, client, tmp_path):
    file = tmp_path / "photo.png"
    file.write_bytes(encode_png_rgb(IMAGE))
    question = Question(format=response_format)
    lines, zipped = (
        list(client.segment_batch([IMAGE, b"no image", file], question, container))
        for container in ("ndjson", "zip")
    )
    assert [(line.index, line.name) for line in zipped] == [(0, "0"), (1, "1"), (2, "photo.png")]
    assert [line.error and line.error.status for line in zipped] == [None, 415, None]
    for got, expected in zip(zipped[::2], lines[::2], strict=True):
        if response_format == "stats":
            assert got.unwrap().json() == expected.unwrap().json()
        else:
            assert got.unwrap().content == expected.unwrap().content


def test_a_batch_that_is_refused_as_a_whole_raises(client):
    with pytest.raises(ServiceError, match="unknown class 'sky'"):
        list(client.segment_batch([IMAGE], Question(classes=("sky",))))


def test_what_the_service_is(client):
    assert client.is_ready()
    assert client.model()["name"] == "tiny"


def test_nobody_there_is_not_ready():
    with Client("http://127.0.0.1:9") as client:
        assert not client.is_ready()
        with pytest.raises(httpx.ConnectError):
            client.mask(IMAGE)


def test_async_client_does_the_same(url):
    async def ask():
        async with AsyncClient(url) as client:
            masks = await asyncio.gather(*(client.mask(IMAGE) for _ in range(4)))
            lines = [
                line
                for container in ("ndjson", "zip")
                async for line in client.segment_batch([IMAGE, IMAGE], Question(format="npy"), container)
            ]
            return [*masks, *(line.unwrap().mask() for line in lines)], await client.is_ready()

    masks, is_ready = asyncio.run(ask())
    assert is_ready
    for mask in masks:
        np.testing.assert_array_equal(mask, tiny_answer(IMAGE))


class _BusyOnce(BaseHTTPRequestHandler):
    """Answers 429 to the first request and 200 to the second."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.server.statuses.pop(0))
        self.send_header("Retry-After", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(("retries", "unused"), [(2, 0), (0, 1)])
def test_a_busy_service_is_asked_again_as_often_as_is_said(retries, unused):
    with HTTPServer(("127.0.0.1", 0), _BusyOnce) as busy:
        busy.statuses = [429, 200]
        threading.Thread(target=busy.serve_forever, daemon=True).start()
        refusal = nullcontext() if retries else pytest.raises(ServiceError, match="429")
        with Client(f"http://127.0.0.1:{busy.server_port}", retries=retries) as client, refusal:
            client.segment(IMAGE)
        busy.shutdown()
    assert len(busy.statuses) == unused


def test_the_example_of_the_readme_runs(url, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (example,) = (block for block in blocks if "afdcd.client" in block)
    assert EXAMPLE_URL in example
    (tmp_path / "photo.jpg").write_bytes(encode_png_rgb(IMAGE))
    done = subprocess.run(
        [sys.executable, "-c", example.replace(EXAMPLE_URL, url)],
        cwd=tmp_path,
        timeout=EXAMPLE_TIMEOUT_S,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "(48, 64)" in done.stdout


def test_importing_the_client_brings_neither_torch_nor_the_service():
    unwanted = {"torch", "fastapi", "serve", "onnxruntime"}
    code = f"import sys, afdcd.client; print(sorted({unwanted} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        timeout=EXAMPLE_TIMEOUT_S,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
