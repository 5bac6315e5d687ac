"""Bytes on the wire that are not as HTTP wants them, or only just: answered or cut, the next one served."""

import http.client
import socket
import time

import httpx
import numpy as np
import pytest

from tests.serve.conftest import RunningServer, running_server, wait_until
from tests.serve.pictures import gradient, png
from tests.serve.test_faults import NO_TLS, not_busy, segment, was_reset
from tests.serve.test_images import mask_of
from tests.tiny_package import tiny_answer

IMAGE = gradient()
GOOD = png(IMAGE)
POST = b"POST /v1/segment HTTP/1.1\r\nHost: test\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET /livez HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
MANY = 1 << 20
"""Bytes that are more than any header needs, and more than the kernel's buffers hide."""


def whole(body: bytes, headers: bytes = b"") -> bytes:
    return POST + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body


def exchange(server: RunningServer, *pieces: bytes) -> bytes:
    """All that the server says until it ends the connection."""
    received = b""
    with socket.create_connection(server.address, timeout=20) as client:
        try:
            for piece in pieces:
                client.sendall(piece)
            while chunk := client.recv(65536):
                received += chunk
        except (ConnectionResetError, BrokenPipeError):
            pass
    return received


MALFORMED = {
    "not http": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "an unknown method": b"FOO /livez HTTP/1.1\r\nHost: test\r\n\r\n",
    "a version of the future": b"GET /livez HTTP/9.9\r\nHost: test\r\n\r\n",
    "a header without a colon": GET + b"X Y\r\n\r\n",
    "a header that goes on in the next line": GET + b"X-A: b\r\n c\r\n\r\n",
    "a length that is no number": POST + b"Content-Length: abc\r\n\r\n" + GOOD,
    "a negative length": POST + b"Content-Length: -5\r\n\r\n" + GOOD,
    "a length beyond all numbers": POST + b"Content-Length: %d\r\n\r\nx" % (2**64 + 1),
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "a length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
    "a chunk of no size": CHUNKED + b"zz\r\nabc\r\n",
    "a chunk beyond all numbers": CHUNKED + b"f" * 20 + b"\r\nabc\r\n",
    "more than the length says": whole(b"abcde") + GOOD,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_breaks_the_rules_of_http_is_a_400_with_a_reason(server, name):
    answer = exchange(server, MALFORMED[name])
    head, _, body = answer.rpartition(b"\r\n\r\n")
    assert b"HTTP/1.1 400 " in head
    assert b"content-type: application/problem+json" in head
    assert b'"error": "MalformedRequestError"' in body
    assert segment(server, GOOD).status_code == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        GET + b"X-A: " + b"b" * MANY + b"\r\n\r\n",
        GET + b"".join(b"X-%d: 1\r\n" % number for number in range(MANY // 10)) + b"\r\n",
        b"GET /" + b"a" * MANY + b" HTTP/1.1\r\nHost: test\r\n\r\n",
        GET + b"X-A: " + b"b" * 80_000 + b"\r\n\r\n",
    ],
    ids=["one line", "many lines", "the address", "in one go"],
)
def test_a_header_without_end_is_a_431(server, request_bytes):
    with socket.create_connection(server.address, timeout=20) as client:
        client.sendall(request_bytes[:100_000])  # more would meet a closed door
        assert client.recv(65536).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "abuse",
    [b"0\r\nX-A: " + b"b" * MANY, b"5;" + b"a" * MANY + b"\r\nabcde\r\n0\r\n\r\n"],
    ids=["trailers", "extensions"],
)
def test_chunks_that_bring_much_more_than_a_body_are_cut(server, abuse):
    assert exchange(server, CHUNKED + abuse) == b""
    assert segment(server, GOOD).status_code == 200


def test_a_body_in_chunks_of_one_byte_is_read(server):
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in GOOD)
    answer = exchange(
        server, POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n", chunks, b"0\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_trailer_never_becomes_a_header(server):
    """In one piece, so that the trailer is there before the request is looked at."""
    coding = b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = exchange(server, POST + coding + b"1\r\nx\r\n0\r\nX-Request-Id: smuggled\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 415 ")
    assert b"smuggled" not in answer


@pytest.mark.parametrize("rest", [b"x", b"\r\n"], ids=["a refused body", "empty lines"])
def test_who_drips_on_after_the_answer_is_cut(package, rest):
    """Neither begins a request, whose own limits would hold."""
    begin = (
        POST + b"Content-Length: 50000000\r\n\r\n" if rest == b"x" else GET.replace(b"close", b"keep-alive")
    )
    with (
        running_server(package, "answer_timeout_s=0.5") as server,
        socket.create_connection(server.address, timeout=20) as client,
    ):
        client.sendall(begin + (b"" if rest == b"x" else b"\r\n"))
        assert client.recv(65536).startswith(b"HTTP/1.1 ")
        for _ in range(100):
            try:
                client.sendall(rest)
            except (BrokenPipeError, ConnectionResetError):
                break
            time.sleep(0.1)
        assert was_reset(client)


def test_a_connection_is_used_again_after_an_error(server):
    connection = http.client.HTTPConnection(*server.address, timeout=20)
    connection.connect()
    first = connection.sock
    statuses = []
    for path, body in (
        ("/v1/segment", b"text"),
        ("/v1/segment", GOOD),
        ("/nowhere", b"x"),
        ("/v1/segment", b""),
        ("/v1/segment?format=none", GOOD),
        ("/v1/segment", GOOD[:40]),
        ("/v1/segment", GOOD),
    ):
        connection.request("POST", path, body)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    assert statuses == [415, 200, 404, 400, 400, 422, 200]
    assert connection.sock is first
    connection.close()


def test_requests_sent_ahead_are_answered_in_their_order(server):
    ahead = whole(GOOD) + whole(b"text") + GET.replace(b"Connection: close\r\n", b"") + b"\r\n" + whole(b"")
    answers = exchange(server, ahead + whole(GOOD, b"Connection: close\r\n"))
    statuses = [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"415", b"200", b"400", b"200"]


def test_who_asks_whether_to_send_is_told_to_go_on(server):
    asks = POST + b"Connection: close\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(GOOD)
    with socket.create_connection(server.address, timeout=20) as client:
        client.sendall(asks)
        assert client.recv(65536).startswith(b"HTTP/1.1 100 ")
        client.sendall(GOOD)
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_who_asks_whether_to_send_too_much_is_told_not_to(server):
    with socket.create_connection(server.address, timeout=20) as client:
        client.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 50000000\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_an_upload_that_breaks_off_leaves_nothing_behind(server):
    for _ in range(10):
        with socket.create_connection(server.address, timeout=20) as client:
            client.sendall(whole(GOOD)[: -len(GOOD) // 2])
    wait_until(lambda: not_busy(server))
    assert segment(server, GOOD).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/livez", "/readyz", "/v1/model", "/v2/health/ready", "/web/style.css"]
)
def test_head_is_answered_as_get_without_its_body(server, path):
    with httpx.Client(base_url=server.url, verify=NO_TLS, timeout=20) as client:
        head, get = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (get.status_code, b"") == (200, b"")
    assert head.headers["content-length"] == str(len(get.content))
    assert head.headers.get("content-type") == get.headers.get("content-type")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("HEAD", "/v1/segment", "POST"),
        ("OPTIONS", "/v1/segment", "POST"),
        ("TRACE", "/livez", "GET"),
        ("DELETE", "/v1/models", "GET"),
    ],
)
def test_a_method_that_an_address_has_not_is_a_405_that_names_the_others(server, method, path, allowed):
    answer = httpx.request(method, f"{server.url}{path}", verify=NO_TLS, timeout=20)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize(
    "path",
    [
        "/web/../keys.py",
        "/web/%2e%2e/%2e%2e/keys.py",
        "/web/..%2f..%2fkeys.py",
        "/web/..%5c..%5ckeys.py",
        "/web/style.css%00.js",
        "/v1/samples/..%2f..%2fmanifest.json",
        "/%ff%fe",
        "//livez",
        "//example.org/docs/",
        "/a%0d%0aSet-Cookie:%20a=b",
    ],
)
def test_paths_lead_to_nothing_that_has_no_address(server, path):
    answer = exchange(server, b"GET %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n" % path.encode())
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"\r\nset-cookie" not in answer.lower()


@pytest.mark.parametrize(
    "name", ["фото 写真.png", 'a"b;c.png', "../../etc/passwd", "a\x00b.png", "\U0001f389" * 500], ids=ascii
)
def test_the_name_of_a_file_does_not_matter(server, name):
    answer = httpx.post(f"{server.url}/v1/segment", files={"image": (name, GOOD)}, verify=NO_TLS, timeout=20)
    assert np.array_equal(mask_of(answer), tiny_answer(IMAGE))
