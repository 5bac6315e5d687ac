"""Sky, far skyline, pavement and road: everything behind and below the things that stand on the street."""

from random import Random

import numpy as np

from distill.datasets.street.camera import NEAREST, Point
from distill.datasets.street.canvas import Canvas
from distill.datasets.street.classes import BUILDING, PAVEMENT, ROAD, SKY, TREE
from distill.datasets.street.layout import FARTHEST, Street
from distill.datasets.street.light import Rgb
from distill.datasets.street.texture import clouds

_STATIONS = tuple(NEAREST * (FARTHEST / NEAREST) ** (i / 8) for i in range(9))
"""Distances between which a bend is drawn straight."""


def draw_sky(canvas: Canvas, rng: Random) -> None:
    light, width = canvas.light, canvas.camera.width
    height = max(2, int(canvas.camera.horizon_y) + 1)
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None] ** 0.8
    rows = np.array(light.sky_top, np.float32) * (1 - down) + np.array(light.sky_low, np.float32) * down
    cover = clouds(rng, height, width)[..., None] * light.clouds
    cloud = np.array([min(255.0, channel * 1.08 + 14) for channel in light.sky_low], np.float32)
    canvas.fill_rows(0, height, rows[:, None] + (cloud - rows[:, None]) * cover, SKY)


def draw_skyline(canvas: Canvas, rng: Random) -> None:
    """Houses and woods where the street ends."""
    width, base = canvas.camera.width, canvas.camera.at(0, 0, FARTHEST)[1] + 1
    metre = canvas.camera.scale(FARTHEST)
    x = -5.0
    while x < width:
        span, tall = rng.uniform(5, 22) * metre, rng.uniform(4, 17) * metre
        if rng.random() < 0.55:
            shade = rng.uniform(70, 170)
            wall = (shade + rng.uniform(-10, 30), shade, shade - 12)
            canvas.polygon(
                [(x, base), (x, base - tall), (x + span, base - tall), (x + span, base)], wall, BUILDING, 70
            )
        else:
            green = (rng.uniform(45, 85), rng.uniform(65, 110), rng.uniform(30, 60))
            canvas.disc((x + span / 2, base - tall * 0.3), (span * 0.7, tall * 0.5), green, TREE, 70)
        x += span * 0.9


def draw_ground(canvas: Canvas, street: Street, rng: Random) -> None:
    paving = rng.uniform(105, 175)
    tone = rng.uniform(-6, 14)
    stones = (paving + tone, paving + 2, paving - tone)
    asphalt = rng.uniform(62, 128)
    tar = (asphalt + rng.uniform(-4, 5), asphalt, asphalt + rng.uniform(-3, 8))
    left, right = street.left_kerb, street.right_kerb
    canvas.fill_rows(
        int(canvas.camera.horizon_y) + 1, canvas.camera.height, canvas.light.lit(stones, 1, 12), PAVEMENT
    )
    _strip(canvas, street.left_wall, street.right_wall, stones, PAVEMENT)
    _slab_joints(canvas, street, rng)
    _strip(canvas, left - 0.18, right + 0.18, (paving + 25, paving + 25, paving + 22), PAVEMENT)
    _strip(canvas, left, right, tar, ROAD)
    if rng.random() < 0.5:
        worn = (asphalt * 0.9, asphalt * 0.9, asphalt * 0.9)
        for track in (-0.8, 0.7):
            _strip(canvas, track - 0.2, track + 0.2, worn, ROAD)
    if rng.random() < 0.35:
        _patches(canvas, street, asphalt, rng)
    _markings(canvas, street, rng)


def _strip(canvas: Canvas, left: float, right: float, colour: Rgb, label: int) -> None:
    """A band along the whole street, haze growing with distance."""
    at = canvas.camera.at
    for near, far in zip(_STATIONS[-2::-1], _STATIONS[:0:-1], strict=True):
        outline = [at(left, 0, near), at(left, 0, far), at(right, 0, far), at(right, 0, near)]
        canvas.polygon(outline, colour, label, (near + far) / 2)


def _slab(canvas: Canvas, x0: float, x1: float, z0: float, z1: float) -> list[Point]:
    at = canvas.camera.at
    return [at(x0, 0, z0), at(x0, 0, z1), at(x1, 0, z1), at(x1, 0, z0)]


def _slab_joints(canvas: Canvas, street: Street, rng: Random) -> None:
    """Dark lines across the pavement."""
    step = rng.uniform(0.9, 1.8)
    joints = [
        _slab(canvas, x0, x1, z, z + 0.06)
        for x0, x1 in ((street.left_wall, street.left_kerb), (street.right_kerb, street.right_wall))
        for z in (NEAREST + step * i for i in range(12))
    ]
    canvas.polygons(np.array(joints), (80, 78, 76), PAVEMENT, 8)


def _patches(canvas: Canvas, street: Street, asphalt: float, rng: Random) -> None:
    """Repaired asphalt."""
    for _ in range(rng.randint(1, 4)):
        x, z, shade = (
            rng.uniform(street.left_kerb, street.right_kerb - 1),
            rng.uniform(3, 25),
            rng.uniform(0.7, 1.2),
        )
        grey = asphalt * shade
        outline = _slab(canvas, x, min(x + rng.uniform(0.6, 2), street.right_kerb), z, z + rng.uniform(1, 6))
        canvas.polygon(outline, (grey, grey, grey), ROAD, z)


def _markings(canvas: Canvas, street: Street, rng: Random) -> None:
    """Paint on the road; it is part of the class Road."""
    paint = (rng.uniform(190, 240),) * 3
    if rng.random() < 0.8:
        dash, gap, start = rng.uniform(1.5, 4), rng.uniform(2, 6), rng.uniform(0, 5)
        count = min(14, int(80 / (dash + gap)))
        centre = street.middle
        dashes = [
            _slab(canvas, centre - 0.07, centre + 0.07, z, z + dash)
            for z in (NEAREST + start + (dash + gap) * i for i in range(count))
        ]
        canvas.polygons(np.array(dashes), paint, ROAD, 18)
    for kerb, inward in ((street.left_kerb, 1), (street.right_kerb, -1)):
        if rng.random() < 0.45:
            yellow = (215, 180, 60) if rng.random() < 0.6 else paint
            for offset in (0.3, 0.55) if yellow != paint else (0.35,):
                x = kerb + inward * offset
                _strip(canvas, x - 0.05, x + 0.05, yellow, ROAD)
    if rng.random() < 0.22:
        z = rng.uniform(6, 22)
        across = np.arange(street.left_kerb + 0.3, street.right_kerb - 0.6, 1.1)
        canvas.polygons(np.array([_slab(canvas, x, x + 0.55, z, z + 3) for x in across]), paint, ROAD, z)
