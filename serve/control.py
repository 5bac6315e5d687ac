"""Orders that all processes of a service carry out together: load this, unload that, tell your figures."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Order = Mapping[str, Any]
"""`do` names it; the rest are its arguments. Plain JSON types."""
Execute = Callable[[Order], Awaitable[dict[str, Any]]]
"""Carries an order out in this process. Raises a SegError for what cannot be done."""


@dataclass(frozen=True)
class Outcome:
    """What every process answered."""

    answers: tuple[dict[str, Any], ...]
    """In the order of their coming; each with `worker`, the number of its process."""
    crew: dict[str, int] = field(default_factory=lambda: {"workers": 1, "alive": 1, "restarts": 0})
    """How many processes there should be, how many there are, and how often one had to be replaced."""


class Control(Protocol):
    """The way from one process to all."""

    worker: int
    """The number of this process, from 0."""
    execute: Execute
    """Set by the application: what an order does in this process."""

    async def ask(self, order: Order, *, agreed: str | None = None) -> Outcome:
        """Have all processes carry an order out, this one included.

        agreed: what the order is about. Processes that are started later carry out the last order about it
        before they are ready. Raises the SegError of a process that could not, as a ControlError.
        """


class Alone:
    """A service of one process."""

    worker = 0

    def __init__(self) -> None:
        self.execute: Execute = _nothing_to_do

    async def ask(self, order: Order, *, agreed: str | None = None) -> Outcome:
        return Outcome(({"worker": 0, **await self.execute(order)},))


async def _nothing_to_do(order: Order) -> dict[str, Any]:
    raise NotImplementedError(f"no application carries out {order['do']!r}")
