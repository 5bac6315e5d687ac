"""A pinhole camera over a street that may bend and climb."""

from dataclasses import dataclass
from random import Random

Point = tuple[float, float]
"""(x, y) in pixels of the picture, y downwards."""

NEAREST = 1.4
"""Metres ahead of the camera from where things are drawn."""


@dataclass(frozen=True)
class Camera:
    """Projects metres (x right of the camera, y above the ground, z ahead) to pixels."""

    width: int
    height: int
    focal: float
    """Pixels."""
    vanish_x: float
    horizon_y: float
    eye_height: float
    bend: float
    """Sideways shift of the street in metres at distance z, divided by z squared."""
    rise: float
    """The same upwards."""

    def at(self, x: float, y: float, z: float) -> Point:
        scale = self.focal / z
        return (
            self.vanish_x + scale * x + self.focal * self.bend * z,
            self.horizon_y + scale * (self.eye_height - y) - self.focal * self.rise * z,
        )

    def scale(self, z: float) -> float:
        """Pixels per metre at distance z."""
        return self.focal / z

    def sees(self, x: float, z: float, half_width: float) -> bool:
        """Whether any of something `half_width` metres to both sides of x at distance z is in the picture."""
        centre, reach = self.at(x, 0.0, z)[0], half_width * self.focal / z
        return -reach < centre < self.width + reach

    def upright(self, x: float, z: float, outline: list[Point]) -> list[Point]:
        """A flat figure facing the camera; `outline` in metres, right of and above its foot at (x, 0, z)."""
        foot_x, foot_y = self.at(x, 0.0, z)
        scale = self.focal / z
        return [(foot_x + scale * right, foot_y - scale * up) for right, up in outline]


def random_camera(rng: Random, height: int, width: int) -> Camera:
    return Camera(
        width=width,
        height=height,
        focal=width * rng.uniform(0.72, 1.05),
        vanish_x=width * rng.uniform(0.3, 0.7),
        horizon_y=height * rng.uniform(0.4, 0.55),
        eye_height=rng.uniform(1.3, 2.1),
        bend=rng.uniform(-1, 1) * 0.0016,
        rise=rng.uniform(-0.3, 1) * 0.0004,
    )
