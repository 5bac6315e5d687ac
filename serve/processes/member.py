"""One worker as its supervisor knows it."""

import os
import signal
import socket
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from serve.processes.link import Link, LinkClosedError, LinkFullError, Message


@dataclass
class Member:
    """A forked worker: alive until `bury` was called."""

    slot: int
    """Its place among the workers, from 0; a successor takes the place over."""
    pid: int
    link: Link
    early_deaths: int = 0
    """How many holders of this place in a row, up to this one, died young."""
    state: str = "starting"
    """What it said last: `starting`, `ready`, `failed`."""
    reason: str = ""
    """Why it failed, in its own words."""
    born_with: tuple[Message, ...] = ()
    """The orders that it was told at its birth."""
    connections: int = 0
    untaken: deque[socket.socket] = field(default_factory=deque)
    """Connections that it was given and has not said to have taken: others get them if it dies."""
    taken: int = 0
    """How many connections it has taken so far."""
    born_at: float = field(default_factory=time.monotonic)
    heard_at: float = field(default_factory=time.monotonic)

    @property
    def age_s(self) -> float:
        return time.monotonic() - self.born_at

    @property
    def silence_s(self) -> float:
        return time.monotonic() - self.heard_at

    def tell(self, message: Message) -> bool:
        """Whether the message went out. A worker that takes none has died, or is about to be found hung."""
        try:
            self.link.send(message)
        except (LinkClosedError, LinkFullError):
            return False
        return True

    def give(self, connection: socket.socket) -> None:
        """Raises LinkClosedError or LinkFullError; the connection is still the caller's then."""
        self.link.send({"kind": "connection"}, connection)
        self.untaken.append(connection)
        self.connections += 1

    def take(self, taken: int) -> None:
        """It has taken so many in all. Ours are closed: the client hears from it alone."""
        for _ in range(taken - self.taken):
            self.untaken.popleft().close()
        self.taken = taken

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def bury(self) -> str:
        """Make sure that it is dead; gives how it ended."""
        self.kill()
        _, status = os.waitpid(self.pid, 0)
        self._hear_last_words()
        self.link.close()
        code = os.waitstatus_to_exitcode(status)
        return f"ended with exit code {code}" if code >= 0 else f"died of {signal.Signals(-code).name}"

    def _hear_last_words(self) -> None:
        """What it had taken before it died. A client whose bytes it may have read is not given to another."""
        for _ in range(2):  # that it left something unread is told first, once, as an error
            with suppress(LinkClosedError):
                while (received := self.link.receive()) is not None:
                    if "taken" in received[0]:
                        self.take(received[0]["taken"])
