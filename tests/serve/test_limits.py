"""Where the service says no, and that saying no is cheap."""

import asyncio
import io
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from modelpack.runtimes.onnxruntime import OnnxRuntime
from serve import ServeSettings, create_app
from tests.serve.conftest import app_client, running_server, wait_until
from tests.serve.leaving import ask_and_leave
from tests.serve.pictures import gradient, png, png_header

IMAGE = gradient()
GOOD = png(IMAGE)
QUICK_S = 0.5
"""Far above what a refusal takes, far below what reading or decoding the refused thing would."""
FORM = "multipart/form-data; boundary=limit"


def form(*parts):
    body = b"".join(
        b'--limit\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % part for part in parts
    )
    return body + b"--limit--\r\n"


def exchange(address, *pieces, pause_s=0.0):
    """Send raw pieces over a socket; the status and problem that come back."""
    with socket.create_connection(address, timeout=10) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause_s)
        reply = b""
        while b"\r\n\r\n" not in reply:
            reply += connection.recv(65536)
        head, _, body = reply.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(65536)
    return int(head.split()[1]), json.loads(body)


def test_an_empty_body_is_refused(client):
    response = client.post("/v1/segment", content=b"")
    assert (response.status_code, response.json()["error"]) == (400, "EmptyBodyError")


@pytest.mark.parametrize(
    ("content_type", "body", "status", "error"),
    [
        (FORM, form((b"photo", GOOD)), 400, "EmptyBodyError"),
        (FORM, form((b"image", b"")), 400, "EmptyBodyError"),
        (FORM, form((b"image", GOOD))[:-20], 400, "MalformedBodyError"),
        (FORM, GOOD, 400, "MalformedBodyError"),
        ("multipart/form-data", form((b"image", GOOD)), 400, "MalformedBodyError"),
        ("application/json", b"{}", 415, "MediaTypeError"),
        ("text/plain", GOOD, 415, "MediaTypeError"),
    ],
)
def test_a_body_that_holds_no_image_is_refused(client, content_type, body, status, error):
    response = client.post("/v1/segment", content=body, headers={"Content-Type": content_type})
    assert (response.status_code, response.json()["error"]) == (status, error)


def test_a_declared_length_over_the_limit_is_refused_before_the_body_is_sent(server):
    head = b"POST /v1/segment HTTP/1.1\r\nHost: test\r\nContent-Length: 50000000\r\n\r\n"
    begun = time.monotonic()
    status, problem = exchange(server.address, head)
    assert (status, problem["error"]) == (413, "BodyTooLargeError")
    assert "50000000 bytes is larger than the limit of 20971520" in problem["detail"]
    assert time.monotonic() - begun < QUICK_S


def test_a_client_that_sends_50_mb_all_the_same_can_read_its_413(server):
    response = httpx.post(f"{server.url}/v1/segment", content=bytes(50_000_000), timeout=30)
    assert response.status_code == 413


def test_a_stream_without_a_length_is_cut_at_the_limit(package):
    with app_client(ServeSettings(package=package, max_bytes=1000, threads=1)) as client:
        sent = 0

        def endless():
            nonlocal sent
            while sent < 100:
                sent += 1
                yield bytes(100)

        response = client.post("/v1/segment", content=endless())
    assert (response.status_code, response.json()["error"]) == (413, "BodyTooLargeError")


def test_a_slow_body_is_cut_with_408(package):
    with running_server(package, "body_timeout_s=0.3") as server:
        head = b"POST /v1/segment HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\n"
        status, problem = exchange(server.address, head, b"some", b"more", pause_s=0.1)
    assert (status, problem["error"]) == (408, "SlowClientError")
    assert "8 bytes came in 0.3 s" in problem["detail"]


def test_bombs_are_refused_before_anything_is_decoded(client, monkeypatch):
    monkeypatch.setattr("serve.service.decode_image", lambda *_, **__: pytest.fail("decoded a bomb"))
    assert client.post("/v1/segment", content=png_header(20_000, 20_000)).status_code == 413


def test_a_body_too_large_for_the_event_loop_is_answered_like_a_small_one(client):
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    response = client.post("/v1/segment", files={"image": io.BytesIO(png(noise))})
    assert response.status_code == 200
    assert "read;dur=" in response.headers["server-timing"]


class Gate:
    """Stands in for the graph: holds every inference until it is opened, and counts them."""

    def __init__(self, monkeypatch):
        self.opened = threading.Event()
        self.entered = threading.Event()
        self.calls = 0
        real_run = OnnxRuntime.run

        def run(runtime, images):
            self.calls += 1
            self.entered.set()
            assert self.opened.wait(30)
            return real_run(runtime, images)

        monkeypatch.setattr(OnnxRuntime, "run", run)


@pytest.fixture
def gated(package, monkeypatch):
    """(client, gate) of a service that works on one request and lets two wait."""
    settings = ServeSettings(package=package, threads=1, active=1, queue_length=2, deadline_s=20)
    with app_client(settings) as client:
        gate = Gate(monkeypatch)
        yield client, gate
        gate.opened.set()


def test_beyond_the_queue_requests_are_told_to_come_back(gated):
    client, gate = gated
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(client.post, "/v1/segment", content=GOOD) for _ in range(3)]
        wait_until(lambda: "afdcd_queue_depth 2.0" in client.get("/metrics").text)
        refused = client.post("/v1/segment", content=GOOD)
        gate.opened.set()
        assert [future.result().status_code for future in waiting] == [200] * 3
    assert (refused.status_code, refused.json()["error"]) == (429, "OverloadedError")
    assert int(refused.headers["retry-after"]) >= 1


def test_an_answer_that_is_late_is_a_504(package, monkeypatch):
    with app_client(ServeSettings(package=package, threads=1, deadline_s=0.1)) as client:
        gate = Gate(monkeypatch)
        response = client.post("/v1/segment", content=GOOD)
        gate.opened.set()
    assert (response.status_code, response.json()["error"]) == (504, "DeadlineError")


def test_clients_that_hang_up_cost_nothing_further(package, monkeypatch):
    """50 requests whose clients leave while the first is worked on: only that one reaches the graph."""
    app = create_app(ServeSettings(package=package, threads=1, active=1))
    gone = asyncio.Event()

    async def scenario():
        async with app.router.lifespan_context(app):
            await app.state.loading
            gate = Gate(monkeypatch)
            requests = [asyncio.create_task(ask_and_leave(app, GOOD, gone)) for _ in range(50)]
            await asyncio.to_thread(gate.entered.wait)
            gone.set()
            statuses = await asyncio.gather(*requests)
            gate.opened.set()
            return statuses, gate.calls

    statuses, calls = asyncio.run(scenario())
    assert statuses == [499] * 50
    assert calls == 1


def test_200_requests_at_once_are_all_answered(server):
    limits = httpx.Limits(max_connections=200)
    with (
        httpx.Client(base_url=server.url, timeout=30, limits=limits) as client,
        ThreadPoolExecutor(200) as pool,
    ):
        statuses = list(pool.map(lambda _: client.post("/v1/segment", content=GOOD).status_code, range(200)))
    assert statuses == [200] * 200
