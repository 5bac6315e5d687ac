"""When an open loop means to send: arrival times that are fixed before the first request."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.load.config import Arrivals
from bench.timing import NS_PER_S

ROUNDING = 1e-9
"""Room for 0.1 * 30 arrivals to be 3 and not the next number above."""
_CHUNK = 4096
"""Gaps drawn at once."""

Offsets = NDArray[np.float64]
"""(n,) seconds from the start, ascending."""


def arrival_offsets_ns(rate: float, seconds: float, arrivals: Arrivals, seed: int) -> NDArray[np.int64]:
    """Intended sends (n,) in nanoseconds from the start, ascending, all before `seconds`.

    Poisson: exponential gaps, the first included. Constant: multiples of 1 / rate, the first at 0.
    """
    offsets_s = ARRIVALS[arrivals](rate, seconds, np.random.default_rng(seed))
    return np.rint(offsets_s * NS_PER_S).astype(np.int64)


def _poisson(rate: float, seconds: float, random: np.random.Generator) -> Offsets:
    offsets = np.zeros(0)
    last = 0.0
    while last < seconds:
        offsets = np.concatenate([offsets, last + np.cumsum(random.exponential(1 / rate, _CHUNK))])
        last = float(offsets[-1])
    return offsets[offsets < seconds]


def _constant(rate: float, seconds: float, random: np.random.Generator) -> Offsets:
    del random
    return np.arange(math.ceil(rate * seconds - ROUNDING)) / rate


ARRIVALS: dict[Arrivals, Callable[[float, float, np.random.Generator], Offsets]] = {
    "poisson": _poisson,
    "constant": _constant,
}
