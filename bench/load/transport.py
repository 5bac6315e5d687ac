"""What the loops send through: HTTP connections, or the runtime in this process."""

from collections.abc import Sequence
from typing import Protocol

from bench.load.samples import Reply
from modelpack.settings import StrictModel


class TransportFacts(StrictModel):
    """What a transport did beside answering, since it was opened."""

    connections: int = 0
    """Opened."""
    retries: int = 0
    """Sent again because the server had closed the idle connection that was chosen."""
    waits: int = 0
    """Queries that found no free connection."""


class Transport(Protocol):
    """One use: opened, sent through by many tasks at once, closed."""

    async def open(self) -> None:
        """Get ready; nothing is sent yet."""

    async def send(self, samples: Sequence[int], deadline_ns: int) -> Reply:
        """Send one query: bodies or images by number, which begin again after the last.

        Never raises for what a server does. At `deadline_ns` of `time.monotonic_ns` it is given up.
        """

    def facts(self) -> TransportFacts:
        """So far."""

    async def close(self) -> None:
        """Hang up everywhere."""
