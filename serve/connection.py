"""One connection: HTTP as uvicorn reads it, with a limit on the time that a request's header may take."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

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
        b"",
        _LATE,
    )
)


class Connection(HttpToolsProtocol):
    """Cuts a client whose header is not complete `header_timeout_s` after it connected or began it.

    uvicorn's own limit covers only the time between two requests.
    """

    def __init__(
        self, *, header_timeout_s: float, on_closed: Callable[[], None] | None = None, **uvicorns: Any
    ) -> None:
        super().__init__(**uvicorns)
        self._header_timeout_s = header_timeout_s
        self._on_closed = on_closed
        self._cutting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_header()

    def connection_lost(self, exc: Exception | None) -> None:
        self._header_came()
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
