"""One connection: HTTP as uvicorn reads it, with time limits for sending a header and reading an answer."""

import asyncio
import json
from collections.abc import Callable
from socket import SO_LINGER, SOL_SOCKET
from struct import pack
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serve.security_headers import SECURITY_HEADERS

_LATE = json.dumps(
    {
        "type": "about:blank",
        "title": "Request Timeout",
        "status": 408,
        "detail": "the request's header did not come in time; send it at once.",
        "error": "SlowClientError",
    }
).encode()
_ANSWER_TO_LATE = b"\r\n".join(
    (
        b"HTTP/1.1 408 Request Timeout",
        b"content-type: application/problem+json",
        b"content-length: %d" % len(_LATE),
        b"connection: close",
        *(f"{name}: {value}".encode() for name, value in SECURITY_HEADERS.items()),
        b"",
        _LATE,
    )
)

MOST_WAITING = 256
"""Requests that a client may send ahead of their answers: uvicorn alone keeps any number in memory."""
_RESET = pack("ii", 1, 0)
"""SO_LINGER for no time at all."""


class Connection(HttpToolsProtocol):
    """Cuts a client whose header is not complete `header_timeout_s` after it connected or began it.

    uvicorn's own limit covers only the time between two requests. A client that leaves an answer unread for
    `answer_timeout_s` is cut too, with a reset, so that the kernel forgets what it did not read.
    """

    def __init__(
        self,
        *,
        header_timeout_s: float,
        answer_timeout_s: float,
        on_closed: Callable[[], None] | None = None,
        **uvicorns: Any,
    ) -> None:
        super().__init__(**uvicorns)
        self._answer_timeout_s = answer_timeout_s
        self._giving_up: asyncio.TimerHandle | None = None
        self._header_timeout_s = header_timeout_s
        self._on_closed = on_closed
        self._cutting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_header()

    def connection_lost(self, exc: Exception | None) -> None:
        self._header_came()
        self._is_read()
        super().connection_lost(exc)
        if self._on_closed is not None:
            self._on_closed()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._cutting is None:
            self._expect_header()

    def on_headers_complete(self) -> None:
        self._header_came()
        super().on_headers_complete()
        if len(self.pipeline) > MOST_WAITING:
            self._reset()

    def _expect_header(self) -> None:
        self._cutting = self.loop.call_later(self._header_timeout_s, self._cut)

    def _header_came(self) -> None:
        if self._cutting is not None:
            self._cutting.cancel()
            self._cutting = None

    def _cut(self) -> None:
        self._cutting = None
        if not self.transport.is_closing():
            self.transport.write(_ANSWER_TO_LATE)
            self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._expect_reading()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._expect_reading()

    def _expect_reading(self) -> None:
        """From now on, or from now on again, what is not sent yet has its time."""
        self._is_read()
        if self.transport.get_write_buffer_size():
            self._giving_up = self.loop.call_later(self._answer_timeout_s, self._give_up)

    def _is_read(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None

    def _give_up(self) -> None:
        self._giving_up = None
        if self.transport.get_write_buffer_size():
            self._reset()

    def _reset(self) -> None:
        """Close at once: what was sent and not read is forgotten."""
        if not self.transport.is_closing():
            self.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, _RESET)
        self.transport.abort()
