"""Daylight: what the sky looks like, which walls the sun reaches, and how far one sees."""

from dataclasses import dataclass
from math import exp
from random import Random

Rgb = tuple[float, float, float]
"""0-255; brighter is cut off when it is drawn."""


@dataclass(frozen=True)
class Light:
    """Brightness factors are 1 for a white surface in full view of an even sky."""

    sky_top: Rgb
    sky_low: Rgb
    """At the horizon; distant things fade to it."""
    clouds: float
    """Contrast of the clouds, 0-1."""
    tint: Rgb
    """Colour of the light, about 1 each."""
    left_walls: float
    right_walls: float
    facing: float
    """Brightness of what faces the camera."""
    shadow: float
    """Brightness of ground in shadow, relative to ground in the light."""
    shadow_reach: float
    """How far shadows fall to the right, in heights of what throws them."""
    sight: float
    """Metres after which 63 % of a colour is lost to haze."""
    lamps: float
    """Share of windows that are lit from inside."""
    noise: float
    """Standard deviation of the sensor's noise, 0-255."""

    def lit(self, colour: Rgb, brightness: float, distance: float) -> Rgb:
        """The colour as the camera sees it from `distance` metres."""
        clear = exp(-distance / self.sight)
        haze, bright = 1 - clear, brightness * clear
        (r, g, b), (tint_r, tint_g, tint_b), (far_r, far_g, far_b) = colour, self.tint, self.sky_low
        return (
            r * tint_r * bright + far_r * haze,
            g * tint_g * bright + far_g * haze,
            b * tint_b * bright + far_b * haze,
        )


def random_light(rng: Random) -> Light:
    """Sun, a grey day, or dusk."""
    chance = rng.random()
    if chance < 0.48:
        return _sun(rng)
    return _overcast(rng) if chance < 0.82 else _dusk(rng)


def _sun(rng: Random) -> Light:
    side = rng.uniform(-1, 1)
    haze = rng.uniform(0, 35)
    warm = rng.uniform(0, 0.1)
    return Light(
        sky_top=(rng.uniform(60, 120), rng.uniform(120, 165), rng.uniform(195, 235)),
        sky_low=(195 + haze, 212 + haze / 2, 228),
        clouds=rng.uniform(0, 0.9),
        tint=(1.08 + warm, 1.03, 0.96 - warm),
        left_walls=1.0 + 0.32 * side,
        right_walls=1.0 - 0.32 * side,
        facing=rng.uniform(0.75, 1.1),
        shadow=rng.uniform(0.42, 0.62),
        shadow_reach=-side * rng.uniform(0.3, 1.6),
        sight=rng.uniform(120, 320),
        lamps=0.0,
        noise=rng.uniform(2, 6),
    )


def _overcast(rng: Random) -> Light:
    grey = rng.uniform(165, 232)
    dim = rng.uniform(0.62, 0.9)
    return Light(
        sky_top=(grey - 28, grey - 22, grey - 12),
        sky_low=(grey, grey + 2, grey + 6),
        clouds=rng.uniform(0.1, 0.6),
        tint=(dim * 0.97, dim, dim * 1.04),
        left_walls=rng.uniform(0.88, 1.0),
        right_walls=rng.uniform(0.88, 1.0),
        facing=rng.uniform(0.8, 0.95),
        shadow=rng.uniform(0.75, 0.9),
        shadow_reach=0.0,
        sight=rng.uniform(55, 180),
        lamps=rng.uniform(0, 0.12),
        noise=rng.uniform(2, 7),
    )


def _dusk(rng: Random) -> Light:
    dim = rng.uniform(0.4, 0.62)
    glow = rng.uniform(0.6, 1.0)
    return Light(
        sky_top=(rng.uniform(38, 80), rng.uniform(48, 88), rng.uniform(95, 135)),
        sky_low=(235 * glow, rng.uniform(135, 180) * glow, rng.uniform(100, 140) * glow),
        clouds=rng.uniform(0.2, 1.0),
        tint=(dim * rng.uniform(1.0, 1.2), dim, dim * rng.uniform(0.95, 1.15)),
        left_walls=rng.uniform(0.8, 1.1),
        right_walls=rng.uniform(0.8, 1.1),
        facing=rng.uniform(0.7, 0.9),
        shadow=rng.uniform(0.7, 0.85),
        shadow_reach=0.0,
        sight=rng.uniform(80, 220),
        lamps=rng.uniform(0.2, 0.6),
        noise=rng.uniform(4, 9),
    )
