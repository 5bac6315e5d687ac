"""HTTP/1.1 answers as a load generator needs them: status and length at least cost, content on request.

Source: RFC 9112, sections 4 to 7.
"""

import re
from dataclasses import dataclass

MAX_HEAD_BYTES = 64 * 1024
_LINE = b"\r\n"
_HEAD_END = b"\r\n\r\n"
_WITHOUT_BODY = frozenset({204, 304})
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")


class MalformedResponseError(Exception):
    """What came is no HTTP answer to what was sent. Stays inside the generator, where it is counted."""


@dataclass(frozen=True, slots=True)
class Response:
    """One complete answer."""

    status: int
    size: int
    """Bytes of the content."""
    content: bytes
    """Empty unless it was asked for."""
    keeps_alive: bool


class ResponseReader:
    """Takes the bytes of one connection as they come; one request is on its way at a time."""

    def __init__(self, method: str, keeps_content: bool) -> None:
        self._is_head_request = method == "HEAD"
        self._keeps_content = keeps_content
        self._start()

    @property
    def has_begun(self) -> bool:
        """Whether a part of an answer has come."""
        return bool(self._buffer) or self._status != 0

    def feed(self, data: bytes) -> Response | None:
        """The answer once it is complete. Raises MalformedResponseError."""
        self._buffer += data
        while self._status == 0:
            if not self._read_head():
                return None
        if self._is_chunked:
            is_complete = self._read_chunks()
        else:
            self._take(
                len(self._buffer) if self._remaining is None else min(self._remaining, len(self._buffer))
            )
            is_complete = self._remaining == 0
        return self._finish() if is_complete else None

    def end(self) -> Response | None:
        """The peer has closed: the answer, where that is what ends it."""
        if self._status and self._remaining is None and not self._is_chunked:
            return self._finish()
        return None

    def _start(self) -> None:
        self._buffer = bytearray()
        self._pieces: list[bytes] = []
        self._status = 0
        self._size = 0
        self._keeps_alive = True
        self._is_chunked = False
        self._remaining: int | None = 0
        """Bytes to come of the content or chunk; None: until the peer closes."""
        self._is_last_chunk = False

    def _finish(self) -> Response:
        if self._buffer:
            raise MalformedResponseError("more bytes came than the answer's length says")
        response = Response(self._status, self._size, b"".join(self._pieces), self._keeps_alive)
        self._start()
        return response

    def _read_head(self) -> bool:
        end = self._buffer.find(_HEAD_END)
        if end < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise MalformedResponseError(f"headers beyond {MAX_HEAD_BYTES} bytes")
            return False
        first, *lines = bytes(self._buffer[:end]).split(_LINE)
        del self._buffer[: end + len(_HEAD_END)]
        version, _, rest = first.partition(b" ")
        if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
            raise MalformedResponseError(f"{first[:80]!r} is no status line")
        status = int(rest[:3])
        if 100 <= status < 200:  # an interim answer: the real one follows
            return bool(self._buffer)
        self._read_fields(dict(_field(line) for line in lines), status, version)
        self._status = status
        return True

    def _read_fields(self, fields: dict[bytes, bytes], status: int, version: bytes) -> None:
        connection = fields.get(b"connection", b"").lower()
        self._keeps_alive = b"close" not in connection and (
            version != b"HTTP/1.0" or b"keep-alive" in connection
        )
        if self._is_head_request or status in _WITHOUT_BODY:
            self._remaining = 0
        elif b"chunked" in fields.get(b"transfer-encoding", b"").lower():
            self._is_chunked = True
        elif (length := fields.get(b"content-length")) is not None:
            if not length.isdigit():
                raise MalformedResponseError(f"Content-Length {length!r} is no number")
            self._remaining = int(length)
        else:
            self._remaining, self._keeps_alive = None, False

    def _read_chunks(self) -> bool:
        """Whether the last chunk and its trailer are there. A chunk's line end counts as part of it."""
        while True:
            if self._remaining:
                self._take_chunk()
                if self._remaining:
                    return False
            end = self._buffer.find(_LINE)
            if end < 0:
                return False
            line = bytes(self._buffer[:end])
            del self._buffer[: end + len(_LINE)]
            if self._is_last_chunk:
                if not line:
                    return True
                continue  # a trailer field
            size = line.partition(b";")[0].strip()
            if not _CHUNK_SIZE.fullmatch(size):
                raise MalformedResponseError(f"{size[:20]!r} is no chunk size")
            length = int(size, 16)
            self._is_last_chunk = length == 0
            self._remaining = length + len(_LINE) if length else 0

    def _take_chunk(self) -> None:
        assert self._remaining is not None
        content = min(len(self._buffer), max(self._remaining - len(_LINE), 0))
        self._take(content)
        if self._remaining <= len(_LINE):
            line_end = min(len(self._buffer), self._remaining)
            del self._buffer[:line_end]
            self._remaining -= line_end

    def _take(self, count: int) -> None:
        if not count:
            return
        if self._keeps_content:
            self._pieces.append(bytes(self._buffer[:count]))
        del self._buffer[:count]
        self._size += count
        if self._remaining is not None:
            self._remaining -= count


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.strip().lower(), value.strip()
