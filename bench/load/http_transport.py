"""Queries over HTTP/1.1: requests built once, one connection each while they last."""

import asyncio
import ssl
import time
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from bench.load.http_connection import Address, ConnectionLostError, ConnectionPool
from bench.load.http_response import MalformedResponseError, Response
from bench.load.samples import Outcome, Reply
from bench.load.target import Body, HttpTarget
from bench.load.transport import TransportFacts
from bench.timing import NS_PER_S

PORTS = {"http": 80, "https": 443}


class HttpTransport:
    """See `Transport`. A query of several samples is as many requests, up to `in_flight` at once."""

    def __init__(self, target: HttpTarget) -> None:
        self._target = target
        self._requests = [request_bytes(target, body) for body in target.bodies]
        self._first_answers: dict[int, bytes] = {}
        self._retries = 0

    async def open(self) -> None:
        parts = urlsplit(self._target.url)
        assert parts.hostname is not None
        address = Address(
            host=parts.hostname,
            port=parts.port or PORTS[parts.scheme],
            tls=ssl.create_default_context() if parts.scheme == "https" else None,
            method=self._target.method,
            keeps_content=self._target.checks_content,
        )
        self._pool = ConnectionPool(address, self._target.max_connections)

    async def send(self, samples: Sequence[int], deadline_ns: int) -> Reply:
        if len(samples) == 1:
            return await self._send_one(samples[0], deadline_ns)
        numbers = iter(samples)
        workers = min(len(samples), self._target.in_flight)
        parts = await asyncio.gather(*(self._send_all(numbers, deadline_ns) for _ in range(workers)))
        return _joined([reply for part in parts for reply in part])

    def facts(self) -> TransportFacts:
        return TransportFacts(connections=self._pool.opened, retries=self._retries, waits=self._pool.waits)

    async def close(self) -> None:
        self._pool.close()
        await asyncio.sleep(0)  # the transports report their end in the next turn of the loop

    async def _send_all(self, numbers: Iterator[int], deadline_ns: int) -> list[Reply]:
        return [await self._send_one(number, deadline_ns) for number in numbers]

    async def _send_one(self, number: int, deadline_ns: int) -> Reply:
        sent_ns: list[int] = []
        try:
            async with asyncio.timeout_at(deadline_ns / NS_PER_S):
                return await self._exchange(number % len(self._requests), sent_ns)
        except TimeoutError:
            outcome = Outcome.TIMEOUT
        except ConnectionLostError:
            outcome = Outcome.DROPPED
        except MalformedResponseError:
            outcome = Outcome.MALFORMED
        return Reply(sent_ns[-1] if sent_ns else 0, time.monotonic_ns(), 0, outcome, 0)

    async def _exchange(self, body: int, sent_ns: list[int], *, is_retry: bool = False) -> Reply:
        """One request and its answer; `sent_ns` is filled for the case that it never comes."""
        connection = await self._pool.acquire(fresh=is_retry)
        was_used = connection.requests > 0
        exchange = connection.begin(self._requests[body])
        sent_ns.append(exchange.sent_ns)
        try:
            response = await exchange.answer
        except ConnectionLostError as error:
            if is_retry or error.answered or not was_used:
                raise
        except BaseException:
            connection.abort()
            raise
        else:
            return Reply(
                exchange.sent_ns,
                exchange.done_ns,
                response.status,
                self._judge(body, response),
                response.size,
            )
        finally:
            self._pool.release(connection)
        self._retries += 1
        return await self._exchange(body, sent_ns, is_retry=True)

    def _judge(self, body: int, response: Response) -> Outcome:
        if response.status not in self._target.expected_status:
            return Outcome.WRONG_STATUS
        if not self._target.checks_content:
            return Outcome.OK
        first = self._first_answers.setdefault(body, response.content)
        return Outcome.OK if first == response.content else Outcome.WRONG_ANSWER


def request_bytes(target: HttpTarget, body: Body) -> bytes:
    """Head and content of one request."""
    parts = urlsplit(target.url)
    fields = {"Host": parts.netloc.rpartition("@")[2]}
    if body.content or target.method not in ("GET", "HEAD"):
        fields["Content-Length"] = str(len(body.content))
    if body.content_type:
        fields["Content-Type"] = body.content_type
    stated = {name.lower() for name in target.headers}
    fields = {name: value for name, value in fields.items() if name.lower() not in stated} | target.headers
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    head = [f"{target.method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body.content


def _joined(replies: list[Reply]) -> Reply:
    """The reply to a query of several samples: done when the last one is, as good as the worst."""
    worst = max(replies, key=lambda reply: reply.outcome)
    return Reply(
        sent_ns=min(reply.sent_ns for reply in replies),
        done_ns=max(reply.done_ns for reply in replies),
        status=worst.status,
        outcome=worst.outcome,
        received_bytes=sum(reply.received_bytes for reply in replies),
    )
