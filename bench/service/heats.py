"""The loads under which contestants meet, and the order in which they are visited."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Heat:
    """One load."""

    name: str
    text: str
    clients: int | None
    """Of a closed loop. None: an open loop at a share of the capacity."""


ALONE = Heat("closed-1", "1 client", 1)
FEW = Heat("closed-4", "4 clients", 4)
MANY = Heat("closed-16", "16 clients", 16)
OPEN = Heat("open", "open loop", None)
HEATS = {heat.name: heat for heat in (ALONE, FEW, MANY, OPEN)}


def rotated(contestants: Sequence[T], number: int) -> list[T]:
    """A B C, B C A, C A B, A B C, ...: nobody is always first, and drift of the machine hits all alike."""
    first = number % len(contestants)
    return [*contestants[first:], *contestants[:first]]
