"""An HTTP server whose every delay is planted: what a load generator reports of it can be held against truth.

Service times are laid out on a virtual time line (`FakeLanes`), so the server's own lateness does not add up.
`GET /record` tells when each request came and went.
"""

import asyncio
import heapq
import json
import sys
import time

from bench.load.timer import Timer
from bench.selftest.fake_lanes import FakeLanes, LoadBehaviour

PATH = "/fake"
RECORD_PATH = "/record"
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_RIGHT, _FAILED, _MISSING = "200 OK", "503 Service Unavailable", "404 Not Found"


class FakeServer:
    """Answers when the lanes say so."""

    def __init__(self, behaviour: LoadBehaviour, timer: Timer) -> None:
        self._behaviour = behaviour
        self._lanes = FakeLanes(behaviour)
        self._timer = timer
        self._due: list[tuple[int, int, asyncio.Transport]] = []
        self._came_ns: list[int] = []
        self._went_ns: list[int] = []

    def take(self, head: bytes, transport: asyncio.Transport) -> None:
        """A request is complete."""
        path = head.split(b" ")[1].decode()
        if path != PATH:
            record = json.dumps({"came_ns": self._came_ns, "went_ns": self._went_ns}).encode()
            transport.write(_answer(_RIGHT, record) if path == RECORD_PATH else _answer(_MISSING, b""))
            return
        number, now_ns = len(self._came_ns), time.monotonic_ns()
        self._came_ns.append(now_ns)
        self._went_ns.append(0)
        done_ns = self._lanes.done_ns(now_ns)
        heapq.heappush(self._due, (done_ns, number, transport))
        if self._due[0][0] == done_ns:
            self._timer.arm(done_ns, self._send_due)

    def _send_due(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic_ns():
            _, number, transport = heapq.heappop(self._due)
            if not transport.is_closing():
                fails = self._behaviour.fails(number)
                transport.write(_answer(_FAILED if fails else _RIGHT, b"x" * self._behaviour.answer_bytes))
            self._went_ns[number] = time.monotonic_ns()
        if self._due:
            self._timer.arm(self._due[0][0], self._send_due)


class _Connection(asyncio.Protocol):
    def __init__(self, server: FakeServer) -> None:
        self._server = server
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (head_end := self._buffer.find(_HEAD_END)) >= 0:
            head = bytes(self._buffer[:head_end])
            _, _, rest = head.lower().partition(_LENGTH)
            length = int(rest.partition(b"\r\n")[0] or 0)
            whole = head_end + len(_HEAD_END) + length
            if len(self._buffer) < whole:
                return
            del self._buffer[:whole]
            self._server.take(head, self._transport)


async def serve(behaviour: LoadBehaviour) -> None:
    """Listen on a free port of this machine, print `{"url": ...}`, and answer until killed."""
    with Timer() as timer:
        server = FakeServer(behaviour, timer)
        listener = await asyncio.get_running_loop().create_server(
            lambda: _Connection(server), "127.0.0.1", 0, backlog=2048
        )
        host, port = listener.sockets[0].getsockname()
        sys.stdout.write(json.dumps({"url": f"http://{host}:{port}{PATH}"}) + "\n")
        sys.stdout.flush()
        await listener.serve_forever()


def _answer(status: str, content: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content


if __name__ == "__main__":
    asyncio.run(serve(LoadBehaviour.model_validate_json(sys.argv[1])))
