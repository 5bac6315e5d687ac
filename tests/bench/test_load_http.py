"""Requests over real connections: what is sent, and how every kind of failure is counted."""

import asyncio
import ipaddress
import ssl
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bench.load.http_transport import HttpTransport, request_bytes
from bench.load.samples import Outcome
from bench.load.target import Body
from tests.bench.load_servers import OK, always, answering, target

SOON_NS = 50_000_000
LATE_NS = 60_000_000_000


def send(answer, queries=1, at_once=False, deadline_ns=LATE_NS, samples=1, tls=None, **changes):
    """(replies, requests that the server saw, facts) of queries one after the other, or all at once."""

    async def work():
        async with answering(answer, tls) as (url, requests):
            transport = HttpTransport(target(url, **changes))
            await transport.open()

            def query(number):
                numbers = range(number * samples, (number + 1) * samples)
                return transport.send(numbers, time.monotonic_ns() + deadline_ns)

            if at_once:
                replies = await asyncio.gather(*(query(number) for number in range(queries)))
            else:
                replies = [await query(number) for number in range(queries)]
            await transport.close()
            return replies, requests, transport.facts()

    return asyncio.run(work())


def outcomes(replies):
    return dict(Counter(reply.outcome for reply in replies))


def test_queries_in_a_row_share_one_connection():
    replies, requests, facts = send(always(OK), queries=20)
    assert outcomes(replies) == {Outcome.OK: 20}
    assert len(requests) == 20
    assert facts.connections == 1


def test_times_are_in_order():
    begin_ns = time.monotonic_ns()
    (reply,), _, _ = send(always(OK))
    assert begin_ns < reply.sent_ns < reply.done_ns < time.monotonic_ns()
    assert (reply.status, reply.received_bytes) == (200, 2)


def test_the_request_is_what_was_asked_for():
    _, requests, _ = send(always(OK), headers={"X-Key": "1", "content-type": "image/webp"})
    head, _, body = requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /path?query=1 HTTP/1.1"
    assert {"X-Key: 1", "content-type: image/webp", "Content-Length: 5"} <= set(lines)
    assert not any("image/png" in line for line in lines)
    assert body == b"hello"


def test_a_get_has_no_body():
    empty = Body(name="empty", content_type="", content=b"")
    head = request_bytes(target("http://host:81", method="GET", bodies=(empty,)), empty)
    assert head == b"GET / HTTP/1.1\r\nHost: host:81\r\n\r\n"


def test_bodies_are_sent_in_turn():
    bodies = tuple(Body(name=name, content_type="", content=name.encode()) for name in "abc")
    _, requests, _ = send(always(OK), queries=5, bodies=bodies)
    assert [request[-1:] for request in requests] == [b"a", b"b", b"c", b"a", b"b"]


def test_other_statuses_are_counted_as_wrong():
    async def every_third_fails(number, writer):
        writer.write(OK.replace(b"200 OK", b"503 No") if number % 3 == 0 else OK)

    replies, _, _ = send(every_third_fails, queries=9)
    assert outcomes(replies) == {Outcome.OK: 6, Outcome.WRONG_STATUS: 3}
    assert {reply.status for reply in replies} == {200, 503}


def test_an_expected_status_is_right():
    replies, _, _ = send(always(OK.replace(b"200", b"422")), expected_status=(200, 422))
    assert outcomes(replies) == {Outcome.OK: 1}


def test_an_answer_that_never_comes_is_a_timeout_and_the_next_is_answered():
    async def first_never(number, writer):
        if number:
            writer.write(OK)

    async def work():
        async with answering(first_never) as (url, _):
            transport = HttpTransport(target(url))
            await transport.open()
            late = await transport.send((0,), time.monotonic_ns() + SOON_NS)
            right = await transport.send((1,), time.monotonic_ns() + LATE_NS)
            await transport.close()
            return late, right, transport.facts()

    late, right, facts = asyncio.run(work())
    assert (late.outcome, right.outcome) == (Outcome.TIMEOUT, Outcome.OK)
    assert late.done_ns - late.sent_ns > 0
    assert facts.connections == 2


def test_a_connection_that_closes_without_an_answer_is_dropped():
    async def close(number, writer):
        writer.close()

    replies, _, _ = send(close, queries=3)
    assert outcomes(replies) == {Outcome.DROPPED: 3}


def test_a_connection_that_closes_within_an_answer_is_dropped():
    async def cut(number, writer):
        writer.write(OK[:-1])
        writer.close()

    assert outcomes(send(cut)[0]) == {Outcome.DROPPED: 1}


def test_a_port_without_a_server_drops_everything():
    async def work():
        async with answering(always(OK)) as (url, _):
            pass
        transport = HttpTransport(target(url))
        await transport.open()
        return await transport.send((0,), time.monotonic_ns() + LATE_NS)

    assert asyncio.run(work()).outcome is Outcome.DROPPED


def test_an_idle_connection_that_the_server_closed_is_replaced_without_a_failure():
    async def one_request_each(number, writer):
        writer.write(OK)
        await writer.drain()
        writer.close()

    replies, _, facts = send(one_request_each, queries=4)
    assert outcomes(replies) == {Outcome.OK: 4}
    assert facts.connections + facts.retries >= 4


def test_what_is_no_http_is_malformed():
    assert outcomes(send(always(b"220 mail server ready\r\n\r\n"))[0]) == {Outcome.MALFORMED: 1}


def test_answers_that_differ_from_the_first_to_the_same_body_are_wrong():
    async def changes_at_the_fourth(number, writer):
        writer.write(OK if number != 3 else OK.replace(b"ok", b"no"))

    replies, _, _ = send(changes_at_the_fourth, queries=6, checks_content=True)
    assert outcomes(replies) == {Outcome.OK: 5, Outcome.WRONG_ANSWER: 1}


def test_queries_beyond_the_connections_wait_for_one():
    async def slowly(number, writer):
        await asyncio.sleep(0.01)
        writer.write(OK)

    replies, _, facts = send(slowly, queries=10, at_once=True, max_connections=4)
    assert outcomes(replies) == {Outcome.OK: 10}
    assert (facts.connections, facts.waits) == (4, 6)


def test_a_query_of_several_samples_is_done_with_the_last_and_as_good_as_the_worst():
    async def third_fails(number, writer):
        writer.write(OK if number != 2 else OK.replace(b"200", b"500"))

    (reply,), requests, facts = send(third_fails, samples=8)
    assert len(requests) == 8
    assert (reply.outcome, reply.status, reply.received_bytes) == (Outcome.WRONG_STATUS, 500, 16)
    assert facts.connections <= 4


@pytest.mark.parametrize("deadline_ns", [0, -1])
def test_what_is_too_late_before_it_is_sent_is_not_sent(deadline_ns):
    (reply,), requests, _ = send(always(OK), deadline_ns=deadline_ns)
    assert reply.outcome is Outcome.TIMEOUT
    assert (reply.sent_ns, requests) == (0, [])


@pytest.fixture
def certificate(tmp_path):
    """A file with key and certificate of this machine's loopback address, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = tmp_path / "loopback.pem"
    file.write_bytes(private + signed.public_bytes(pem))
    return file


@pytest.fixture
def tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_https_is_loaded_where_the_certificate_is_trusted(certificate, tls, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    replies, requests, facts = send(always(OK), queries=3, tls=tls)
    assert outcomes(replies) == {Outcome.OK: 3}
    assert (len(requests), facts.connections) == (3, 1)


def test_https_with_a_certificate_that_nobody_trusts_is_dropped(tls):
    replies, requests, _ = send(always(OK), tls=tls)
    assert outcomes(replies) == {Outcome.DROPPED: 1}
    assert requests == []
