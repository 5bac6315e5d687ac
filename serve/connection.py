"""One connection: HTTP as uvicorn reads it, with limits for headers and for slow clients."""

import asyncio
from collections.abc import Callable
from socket import SO_LINGER, SOL_SOCKET
from struct import pack
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serve.bare_answers import LATE, MALFORMED, TOO_LONG
from serve.disconnect import HANG_UP

MOST_WAITING = 256
"""Requests that a client may send ahead of their answers: uvicorn alone keeps any number in memory."""
MOST_HEADER_BYTES = 64 << 10
"""Of address and header, or of trailers: uvicorn alone keeps any number of them in memory."""
FIRST_REQUEST_S = 0.25
"""Time that a new connection has to ask for something when the service leaves."""
MOST_FRAMING = 8
"""Bytes around each byte of a body in chunks: those of one byte have five, and nobody needs more."""
_RESET = pack("ii", 1, 0)
"""SO_LINGER for no time at all."""


class Connection(HttpToolsProtocol):
    """Cuts a client whose header is not complete `header_timeout_s` after it connected or began it.

    uvicorn's own limit covers only the time between two requests. A client that leaves an answer unread for
    `answer_timeout_s` is cut too, with a reset, so that the kernel forgets what it did not read; and one that
    goes on sending a body for so long which was refused already.
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
        self._lingering: asyncio.TimerHandle | None = None
        self._is_lost = False
        self._hung_up: Callable[[], object] | None = None
        self._has_asked = False
        self._around_body = 0
        self._of_body = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_header()

    def connection_lost(self, exc: Exception | None) -> None:
        self._header_came()
        self._is_read()
        self._lingers_no_more()
        super().connection_lost(exc)
        self._is_lost = True
        if self._hung_up is not None:
            self._hung_up()
        if self._on_closed is not None:
            self._on_closed()

    def data_received(self, data: bytes) -> None:
        self._around_body += len(data)
        super().data_received(data)
        if self._around_body > MOST_HEADER_BYTES + MOST_FRAMING * self._of_body:
            self._refuse_length()
        elif self._lingering is None and self._cutting is None and self._is_answered():
            self._lingering = self.loop.call_later(self._answer_timeout_s, self._reset)

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls for all that its parser refuses."""
        if not self.transport.is_closing():
            self.transport.write(MALFORMED)
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {HANG_UP: self._listen_for_hang_up}  # type: ignore[dict-item]
        self._lingers_no_more()
        if self._cutting is None:
            self._expect_header()

    def on_body(self, body: bytes) -> None:
        self._of_body += len(body)
        self._around_body -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._of_body = self._around_body = 0
        super().on_message_complete()

    def on_headers_complete(self) -> None:
        if self._around_body > MOST_HEADER_BYTES:
            self._measure_header()
        self._header_came()
        super().on_headers_complete()
        self._has_asked = True
        self.headers = []  # trailers must not become headers
        if len(self.pipeline) > MOST_WAITING:
            self._reset()

    def _listen_for_hang_up(self, told: Callable[[], object] | None) -> None:
        """See `serve.disconnect`. A client that hangs up is noticed only while it is read from."""
        self._hung_up = told
        if told is not None:
            self.flow.resume_reading()
            if self._is_lost:
                told()

    def shutdown(self) -> None:
        """The service leaves. Of a connection that was just accepted, the request is on its way."""
        if self._has_asked:
            self._leave()
        else:
            self.loop.call_later(FIRST_REQUEST_S, self._leave)

    def _leave(self) -> None:
        if not self.transport.is_closing():
            super().shutdown()

    def _expect_header(self) -> None:
        self._cutting = self.loop.call_later(self._header_timeout_s, self._cut)

    def _header_came(self) -> None:
        if self._cutting is not None:
            self._cutting.cancel()
            self._cutting = None

    def _cut(self) -> None:
        self._cutting = None
        if not self.transport.is_closing():
            self.transport.write(LATE)
            self.transport.close()

    def _is_answered(self) -> bool:
        """Does the client send what belongs to no request any more?"""
        return self._has_asked and self.cycle.response_complete

    def _measure_header(self) -> None:
        """Much came at once; the body may be the most of it."""
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MOST_HEADER_BYTES:
            self._refuse_length()
            raise ValueError("the header is too long")  # ends the parser's work

    def _refuse_length(self) -> None:
        if self._cutting is None:
            self._reset()
        elif not self.transport.is_closing():
            self.transport.write(TOO_LONG)
            self.transport.close()

    def _lingers_no_more(self) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None

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
