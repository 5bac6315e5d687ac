"""What supervisor and worker say to each other: whole JSON messages, each with at most one open socket."""

import json
import socket
import zlib
from array import array
from typing import Any, Self

Message = dict[str, Any]
"""`kind` says what it is about; the rest belongs to the kind."""

MAX_BYTES = 1 << 17
"""Of one message; the kernel keeps a message whole up to about 200 kB."""
LONG_BYTES = 1 << 14
"""Longer messages are compressed: the figures of many workers repeat themselves, and become a tenth."""


class LinkClosedError(ConnectionError):
    """The process at the other end is gone."""


class LinkFullError(ConnectionError):
    """The process at the other end has not read for long; the message was not sent."""


class Link:
    """One end. Neither sending nor reading waits."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        end.setblocking(False)

    @classmethod
    def pair(cls) -> tuple[Self, Self]:
        """Both ends, the second to be kept by a forked process."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), cls(theirs)

    def fileno(self) -> int:
        return self._end.fileno()

    def send(self, message: Message, connection: socket.socket | None = None) -> None:
        """Raises LinkClosedError where nobody reads any more, LinkFullError where nobody has for long."""
        data = json.dumps(message).encode()
        if len(data) > LONG_BYTES:
            data = zlib.compress(data, 1)
        files = array("i", [connection.fileno()] if connection is not None else [])
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)] if files else []
        try:
            self._end.sendmsg([data], rights)
        except BlockingIOError as error:
            raise LinkFullError("the other end does not read") from error
        except OSError as error:
            raise LinkClosedError(str(error)) from error

    def receive(self) -> tuple[Message, socket.socket | None] | None:
        """The next message and the connection that came with it; None where nothing waits.

        Raises LinkClosedError at the end.
        """
        try:
            data, files, _, _ = socket.recv_fds(self._end, MAX_BYTES, 1)
        except BlockingIOError:
            return None
        except OSError as error:
            raise LinkClosedError(str(error)) from error
        if not data:
            raise LinkClosedError("the other end was closed")
        message: Message = json.loads(data if data[:1] == b"{" else zlib.decompress(data))
        return message, socket.socket(fileno=files[0]) if files else None

    def close(self) -> None:
        self._end.close()
