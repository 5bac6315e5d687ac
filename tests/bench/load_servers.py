"""Servers that answer in a given way, in the event loop of the test."""

import asyncio
from contextlib import asynccontextmanager

from bench.load.target import Body, HttpTarget

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def read_request(reader) -> bytes | None:
    """Head and body, or None where the client is gone."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return head + await reader.readexactly(int(line.partition(b":")[2]))
    return head


@asynccontextmanager
async def answering(answer, tls=None):
    """(url, requests so far) of a server; `answer(number, writer)` handles one request and may close."""
    requests: list[bytes] = []

    async def handle(reader, writer):
        while not writer.is_closing() and (request := await read_request(reader)) is not None:
            requests.append(request)
            await answer(len(requests) - 1, writer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        port = server.sockets[0].getsockname()[1]
        yield f"http{'s' if tls else ''}://127.0.0.1:{port}/path?query=1", requests
    finally:
        server.close()


def always(response: bytes):
    async def answer(number, writer):
        writer.write(response)

    return answer


def target(url, **changes) -> HttpTarget:
    settings = {
        "url": url,
        "method": "POST",
        "headers": {},
        "bodies": (Body(name="a", content_type="image/png", content=b"hello"),),
        "expected_status": (200,),
        "checks_content": False,
        "max_connections": 8,
        "in_flight": 4,
    }
    return HttpTarget.model_validate({**settings, **changes})
