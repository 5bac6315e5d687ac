"""One worker as its supervisor knows it."""

import os
import signal
import time
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

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def bury(self) -> str:
        """Make sure that it is dead; gives how it ended."""
        self.kill()
        _, status = os.waitpid(self.pid, 0)
        self.link.close()
        code = os.waitstatus_to_exitcode(status)
        return f"ended with exit code {code}" if code >= 0 else f"died of {signal.Signals(-code).name}"
