"""One line of the self-test: what was planted, what the tool said of it, and whether that is right."""

from collections.abc import Callable
from typing import NamedTuple


class Check(NamedTuple):
    """Texts are ready to show, units included: `20 ms`, `no difference`."""

    name: str
    expected: str
    measured: str
    tolerance: str
    ok: bool


CheckFunction = Callable[[], Check]
"""Measures and judges; raises nothing but SegError."""
