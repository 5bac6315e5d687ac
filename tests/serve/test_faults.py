"""What other services are known to fall over, done to a running one over loopback.

Eight good beside eight bad requests are in test_images.py; the 50 MB body and 200 requests at once in
test_limits.py; killed workers in test_workers.py; SIGTERM in test_workers.py and test_process.py.
"""

import re
import select
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import psutil
import pytest

from tests.serve.conftest import RunningServer, running_server, wait_until
from tests.serve.pictures import gradient, jpeg_header, pillow, png, png_header, rotated_jpeg
from tests.serve.test_images import BAD, mask_of
from tests.tiny_package import tiny_answer, write_tiny_package

IMAGE = gradient()
GREY = IMAGE[..., 0]
GOOD = png(IMAGE)
BOMBS = [png_header(20_000, 20_000), jpeg_header(13_000, 13_000)]
MOST_GROWTH_BYTES = 32 * 2**20
"""Far below the half a gigabyte that one bomb decodes to."""
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Spares every request the reading of certificates, which takes longer than its answer."""
RESET_TIMEOUT_MS = 20_000
LARGEST_SHARE_COMPUTED = 0.2


def worker_of(server: RunningServer) -> psutil.Process:
    (worker,) = psutil.Process(server.process.pid).children()
    return worker


def segment(server: RunningServer, content: bytes, **headers: str) -> httpx.Response:
    return httpx.post(
        f"{server.url}/v1/segment?format=png", content=content, headers=headers, timeout=30, verify=NO_TLS
    )


def head(length: int) -> bytes:
    return b"POST /v1/segment HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % length


@pytest.mark.parametrize("name", ["empty", *BAD])
def test_a_bad_image_gets_a_reason_and_the_next_good_one_its_mask(server, name):
    content, status = (b"", 400) if name == "empty" else BAD[name]
    refused = segment(server, content)
    assert refused.status_code == status
    assert refused.json()["detail"]
    assert np.array_equal(mask_of(segment(server, GOOD)), tiny_answer(IMAGE))


@pytest.mark.parametrize(
    ("content", "image"),
    [
        (png(GREY), np.stack([GREY] * 3, axis=-1)),
        (png(GREY.astype(np.uint16) * 257), np.stack([GREY] * 3, axis=-1)),
        (pillow(IMAGE, "PNG", "RGBA"), IMAGE),
        (rotated_jpeg(IMAGE), None),
        (pillow(IMAGE, "JPEG", "CMYK", quality=95), None),
        (pillow(IMAGE, "PNG", "P"), None),
    ],
    ids=["grey", "16 bit", "alpha", "rotated", "cmyk", "palette"],
)
def test_an_unusual_image_gets_its_mask_or_a_clear_415(server, content, image):
    answer = segment(server, content)
    if answer.status_code == 415:
        assert answer.json()["detail"]
    elif image is None:
        assert set(mask_of(answer).shape) == set(IMAGE.shape[:2])
    else:
        assert np.array_equal(mask_of(answer), tiny_answer(image))


def test_bombs_leave_no_trace_in_memory(server):
    worker = worker_of(server)
    segment(server, BOMBS[0])
    before_bytes = worker.memory_info().rss
    assert [segment(server, bomb).status_code for bomb in BOMBS * 10] == [413] * 20
    assert worker.memory_info().rss - before_bytes < MOST_GROWTH_BYTES


def test_good_requests_are_answered_beside_bombs(server):
    with ThreadPoolExecutor(8) as pool:
        bombs = [pool.submit(segment, server, bomb) for bomb in BOMBS * 2]
        good = list(pool.map(lambda _: segment(server, GOOD).status_code, range(20)))
        assert [bomb.result().status_code for bomb in bombs] == [413] * 4
    assert good == [200] * 20


def test_slow_clients_are_cut_and_good_ones_answered_meanwhile(package):
    with running_server(package, "body_timeout_s=1.5") as server:

        def drip(_: int) -> bytes:
            with socket.create_connection(server.address, timeout=20) as client:
                client.sendall(head(1000))
                client.settimeout(0.2)
                for _ in range(100):
                    try:
                        return client.recv(4096)
                    except TimeoutError:
                        client.sendall(b"x")
            return b"never cut"

        with ThreadPoolExecutor(20) as pool:
            slow = [pool.submit(drip, number) for number in range(20)]
            good = [segment(server, GOOD).status_code for _ in range(20)]
            answers = [future.result() for future in slow]
    assert good == [200] * 20
    assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in answers)


def was_reset(client: socket.socket) -> bool:
    """Whether the server has ended the connection, seen without reading from it."""
    waiting = select.poll()
    waiting.register(client, 0)
    return bool(waiting.poll(RESET_TIMEOUT_MS))


@pytest.mark.parametrize("requests", [200, 2000], ids=["unread answers", "endless requests"])
def test_a_client_that_does_not_read_its_answers_is_cut(package, requests):
    with running_server(package, "answer_timeout_s=0.5") as server:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(server.address)
            client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: test\r\n\r\n" * requests)
            assert was_reset(client)
        assert segment(server, GOOD).status_code == 200


def test_a_client_that_reads_with_pauses_gets_its_answer(package):
    with (
        running_server(package, "answer_timeout_s=1") as server,
        socket.create_connection(server.address, timeout=20) as client,
    ):
        client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        time.sleep(1.5)
        received = b"".join(iter(lambda: client.recv(4096), b""))
    length = int(re.search(rb"content-length: (\d+)", received)[1])
    assert len(received.partition(b"\r\n\r\n")[2]) == length


def test_what_is_too_much_at_once_is_told_when_to_come_back(slow_package):
    with (
        running_server(slow_package, "queue_length=8", "active=1") as server,
        ThreadPoolExecutor(100) as pool,
    ):
        answers = list(pool.map(lambda _: segment(server, GOOD), range(40)))
        assert segment(server, GOOD).status_code == 200
    refused = [answer for answer in answers if answer.status_code != 200]
    assert refused
    assert all(answer.status_code == 429 and int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert len(refused) < len(answers)


def test_clients_that_hang_up_leave_most_of_their_work_undone(tmp_path):
    """By the processor time of the worker, which five answered requests have measured before."""
    package = write_tiny_package(tmp_path / "slow", slow_layers=8, num_samples=1).path
    with running_server(package, "queue_length=200") as server:
        worker = worker_of(server)

        def used_s() -> float:
            times = worker.cpu_times()
            return times.user + times.system

        segment(server, GOOD)
        begun_s = used_s()
        assert [segment(server, GOOD).status_code for _ in range(5)] == [200] * 5
        one_s = (used_s() - begun_s) / 5

        begun_s = used_s()
        clients = [socket.create_connection(server.address, timeout=20) for _ in range(100)]
        for client in clients:
            client.sendall(head(len(GOOD)) + GOOD)
        for client in clients:
            client.close()
        wait_until(lambda: not_busy(server))
        assert segment(server, GOOD).status_code == 200
        assert used_s() - begun_s < (1 + 100 * LARGEST_SHARE_COMPUTED) * one_s


def not_busy(server: RunningServer) -> bool:
    text = httpx.get(f"{server.url}/metrics", timeout=30).text
    return "afdcd_queue_depth 0.0" in text and "afdcd_active_requests 0.0" in text


def test_more_connections_than_file_handles_are_survived_and_forgotten(package):
    with running_server(package, "workers=2", "header_timeout_s=1") as server:
        workers = psutil.Process(server.process.pid).children()
        workers[0].rlimit(psutil.RLIMIT_NOFILE, (workers[0].num_fds() + 10,) * 2)
        clients = [socket.create_connection(server.address, timeout=20) for _ in range(100)]
        wait_until(lambda: any(worker.net_connections("tcp4") for worker in workers))
        for client in clients:
            client.close()
        wait_until(lambda: not any(worker.net_connections("tcp4") for worker in workers))
        wait_until(lambda: both_answer(server))
        assert psutil.Process(server.process.pid).children() == workers


def both_answer(server: RunningServer) -> bool:
    """Whether of two clients at once each is answered by another worker."""
    before = answered(server)
    clients = [httpx.Client(base_url=server.url, timeout=30, verify=NO_TLS) for _ in range(2)]
    statuses = [client.get("/livez").status_code for client in clients]
    for client in clients:
        client.close()
    assert statuses == [200, 200]
    return all(now > then for now, then in zip(answered(server), before, strict=True))


def answered(server: RunningServer) -> list[float]:
    """Requests for `/livez` that each of two workers has answered."""
    text = httpx.get(f"{server.url}/metrics", timeout=30, verify=NO_TLS).text
    counts = re.findall(
        r'^afdcd_requests_total\{route="/livez",status="200",worker="(\d)"\} (\S+)$', text, re.M
    )
    return [float(dict(counts).get(worker, 0)) for worker in "01"]


@pytest.mark.parametrize("path", ["/v1/segment", "/v2/models/tiny/infer"])
@pytest.mark.parametrize("milliseconds", ["0", "-5", "soon", "1.5"])
def test_a_deadline_that_is_none_is_refused(server, path, milliseconds):
    answer = httpx.post(f"{server.url}{path}", content=GOOD, headers={"X-Deadline-Ms": milliseconds})
    assert answer.status_code == 422
    assert "X-Deadline-Ms" in answer.text


def test_an_answer_later_than_the_clients_deadline_is_a_504(tmp_path):
    package = write_tiny_package(tmp_path / "slow", slow_layers=8, num_samples=1).path
    with running_server(package) as server, httpx.Client(base_url=server.url, timeout=30) as client:
        for path, headers in (
            ("/v1/segment", {}),
            ("/v2/models/tiny/infer", {"Inference-Header-Content-Length": "0"}),
        ):
            late = client.post(path, content=GOOD, headers={"X-Deadline-Ms": "2", **headers})
            in_time = client.post(path, content=GOOD, headers={"X-Deadline-Ms": "30000", **headers})
            assert (late.status_code, in_time.status_code) == (504, 200)
