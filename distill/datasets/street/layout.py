"""Where things are: kerbs, walls, and which side of the road one drives on."""

from dataclasses import dataclass
from random import Random

FARTHEST = 130.0
"""Metres ahead at which the street ends."""


@dataclass(frozen=True)
class Street:
    """Metres right of the camera, which drives in the left lane."""

    left_wall: float
    """Where the pavement ends and houses or gardens begin."""
    left_kerb: float
    middle: float
    right_kerb: float
    right_wall: float
    parks_left: bool
    parks_right: bool


def random_street(rng: Random) -> Street:
    lane = rng.uniform(2.7, 3.6)
    parks_left, parks_right = rng.random() < 0.4, rng.random() < 0.45
    left_kerb = -lane / 2 - (2.1 if parks_left else rng.uniform(0, 0.6))
    right_kerb = lane * 1.5 + (2.1 if parks_right else rng.uniform(0, 0.6))
    return Street(
        left_wall=left_kerb - rng.uniform(1.5, 4.5),
        left_kerb=left_kerb,
        middle=lane / 2,
        right_kerb=right_kerb,
        right_wall=right_kerb + rng.uniform(1.5, 4.5),
        parks_left=parks_left,
        parks_right=parks_right,
    )
