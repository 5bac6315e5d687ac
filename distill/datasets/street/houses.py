"""Both sides of the street, from its far end to the near: houses, and gardens behind fences and hedges."""

from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from distill.datasets.street.camera import NEAREST, Point
from distill.datasets.street.canvas import Canvas
from distill.datasets.street.classes import BUILDING, FENCE, TREE
from distill.datasets.street.layout import FARTHEST
from distill.datasets.street.light import Rgb
from distill.datasets.street.plants import draw_tree

_WALLS: tuple[Rgb, ...] = (
    *((150, 82, 62), (128, 70, 58), (172, 118, 88), (205, 190, 160), (222, 216, 204), (176, 170, 160)),
    *((138, 134, 132), (108, 104, 106), (196, 172, 128), (160, 176, 186), (186, 142, 122), (92, 84, 80)),
)
_ROOFS: tuple[Rgb, ...] = ((92, 68, 62), (70, 72, 78), (118, 76, 60), (86, 84, 84))
_GLASS: Rgb = (72, 84, 98)
_LAMP: Rgb = (255, 214, 140)
_DETAIL_REACH = 45.0
"""Metres up to which windows can be told apart."""


@dataclass(frozen=True)
class _Row:
    """One side of the street: its wall line and what character it has."""

    x: float
    outward: int
    """-1 left, 1 right: away from the road."""
    greenness: float
    """Share of gardens."""
    storey_height: float
    storeys: tuple[int, int]
    wall: Rgb
    uniformity: float
    """Share of houses that look like their neighbours."""


def draw_side(canvas: Canvas, x: float, outward: int, rng: Random) -> None:
    low = rng.randint(2, 3)
    row = _Row(
        x=x,
        outward=outward,
        greenness=rng.choice((0.12, 0.3, 0.7)),
        storey_height=rng.uniform(2.7, 3.6),
        storeys=(low, low + rng.randint(0, 3)),
        wall=rng.choice(_WALLS),
        uniformity=rng.choice((0.1, 0.75)),
    )
    z = FARTHEST * 0.9
    while z > NEAREST:
        length = rng.uniform(6, 15) * (1 if z < 60 else 2)
        near = max(z - length, NEAREST)
        if rng.random() < row.greenness:
            _draw_garden(canvas, row, near, z, rng)
        else:
            _draw_house(canvas, row, near, z, rng)
        z = near


def _wall(canvas: Canvas, x: float, near: float, far: float, low: float, high: float) -> list[Point]:
    """A rectangle along the street."""
    at = canvas.camera.at
    return [at(x, low, near), at(x, high, near), at(x, high, far), at(x, low, far)]


def _end(canvas: Canvas, x0: float, x1: float, z: float, low: float, high: float) -> list[Point]:
    """A rectangle facing the camera."""
    at = canvas.camera.at
    return [at(x0, low, z), at(x0, high, z), at(x1, high, z), at(x1, low, z)]


def _draw_house(canvas: Canvas, row: _Row, near: float, far: float, rng: Random) -> None:
    light, middle = canvas.light, (near + far) / 2
    base = row.wall if rng.random() < row.uniformity else rng.choice(_WALLS)
    fade = rng.uniform(0.85, 1.12)
    wall = (base[0] * fade, base[1] * fade, base[2] * fade)
    storeys = rng.randint(*row.storeys)
    tall, deep = storeys * row.storey_height + 0.4, row.outward * rng.uniform(7, 11)
    along = light.left_walls if row.outward < 0 else light.right_walls
    back = row.x + deep
    if rng.random() < 0.6:
        roof, ridge = rng.choice(_ROOFS), tall + rng.uniform(1.5, 3.2)
        at, inner = canvas.camera.at, row.x + deep / 2
        slope = [at(row.x, tall, near), at(inner, ridge, near), at(inner, ridge, far), at(row.x, tall, far)]
        gable = [at(row.x, tall, near), at(inner, ridge, near), at(back, tall, near)]
        canvas.polygon(slope, roof, BUILDING, middle, along)
        canvas.polygon(gable, wall, BUILDING, near, light.facing)
        if rng.random() < 0.6:
            chimney = _end(canvas, inner - 0.5, inner + 0.5, middle, ridge - 0.5, ridge + 1.1)
            canvas.polygon(chimney, wall, BUILDING, middle, light.facing)
    canvas.polygon(_end(canvas, row.x, back, near, 0, tall), wall, BUILDING, near, light.facing * 0.92)
    canvas.polygon(_wall(canvas, row.x, near, far, 0, tall), wall, BUILDING, middle, along)
    if near < _DETAIL_REACH:
        _draw_front(canvas, row, near, far, storeys, along, rng)


def _draw_front(
    canvas: Canvas, row: _Row, near: float, far: float, storeys: int, brightness: float, rng: Random
) -> None:
    """Windows, shop fronts and doors; all of them are Building."""
    middle = (near + far) / 2
    has_shop = rng.random() < 0.35
    if has_shop:
        sign: Rgb = (rng.uniform(30, 220), rng.uniform(30, 180), rng.uniform(30, 180))
        glass = _LAMP if rng.random() < canvas.light.lamps * 1.5 else (88, 92, 98)
        lit = 1.0 / max(canvas.light.tint) if glass == _LAMP else brightness
        canvas.polygon(_wall(canvas, row.x, near + 0.3, far - 0.3, 0.5, 2.4), glass, BUILDING, middle, lit)
        canvas.polygon(
            _wall(canvas, row.x, near + 0.2, far - 0.2, 2.5, 3.1), sign, BUILDING, middle, brightness
        )
    pitch, wide = rng.uniform(1.8, 3.2), rng.uniform(0.9, 1.4)
    low, high = rng.uniform(0.7, 1.0), rng.uniform(2.1, 2.5)
    columns = np.arange(near + 0.6, far - wide, pitch)
    floors = np.arange(1 if has_shop else 0, storeys) * row.storey_height
    if columns.size == 0 or floors.size == 0:
        return
    z0, y0 = (grid.ravel() for grid in np.meshgrid(columns, floors))
    frame = (min(255.0, row.wall[0] + 55),) * 3 if rng.random() < 0.7 else (70.0, 66.0, 64.0)
    canvas.polygons(
        _panes(canvas, row.x, z0, z0 + wide, y0 + low, y0 + high), frame, BUILDING, middle, brightness
    )
    panes = _panes(canvas, row.x, z0 + 0.13, z0 + wide - 0.13, y0 + low + 0.13, y0 + high - 0.13)
    canvas.polygons(panes, _GLASS, BUILDING, middle, brightness)
    is_lit = np.array([rng.random() < canvas.light.lamps for _ in range(len(panes))])
    if is_lit.any():
        canvas.polygons(panes[is_lit], _LAMP, BUILDING, middle, 1.0 / max(canvas.light.tint))


def _panes(
    canvas: Canvas,
    x: float,
    near: NDArray[np.float64],
    far: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(n, 4, 2) pixels of n rectangles in the wall at x; `Camera.at` for arrays."""
    camera = canvas.camera
    z, y = np.stack([near, near, far, far], axis=1), np.stack([low, high, high, low], axis=1)
    scale = camera.focal / z
    right = camera.vanish_x + scale * x + camera.focal * camera.bend * z
    down = camera.horizon_y + scale * (camera.eye_height - y) - camera.focal * camera.rise * z
    return np.stack([right, down], axis=-1)


def _draw_garden(canvas: Canvas, row: _Row, near: float, far: float, rng: Random) -> None:
    light, middle = canvas.light, (near + far) / 2
    along = light.left_walls if row.outward < 0 else light.right_walls
    tint = rng.uniform(-15, 15)
    green: Rgb = (62 + tint, 86 + tint / 2, 44)
    behind = row.x + row.outward * 1.5
    thicket = rng.uniform(1.5, 5)
    canvas.polygon(
        _end(canvas, behind, behind + row.outward * 12, near, 0, thicket), green, TREE, near, light.facing
    )
    canvas.polygon(_wall(canvas, behind, near, far, 0, thicket), green, TREE, middle, along * 0.9)
    for _ in range(rng.randint(1, 3) if middle < _DETAIL_REACH else 1):
        x = row.x + row.outward * rng.uniform(1, 4)
        draw_tree(canvas, x, rng.uniform(near, far), rng.uniform(4, 10), rng)
    border = rng.random()
    if border < 0.55:
        _draw_fence(canvas, row, near, far, along, rng)
    elif border < 0.75:
        hedge = _wall(canvas, row.x, near, far, 0, rng.uniform(1, 1.9))
        canvas.polygon(hedge, (green[0] - 14, green[1] - 8, green[2] - 8), TREE, middle, along)
    else:
        stone = rng.choice(_WALLS)
        canvas.polygon(
            _wall(canvas, row.x, near, far, 0, rng.uniform(0.6, 1.6)), stone, BUILDING, middle, along
        )


def _draw_fence(canvas: Canvas, row: _Row, near: float, far: float, brightness: float, rng: Random) -> None:
    """Boards or railings; the gaps between railings belong to the fence, as CamVid has it."""
    middle, tall = (near + far) / 2, rng.uniform(1.0, 2.1)
    boards = rng.random() < 0.5
    shade = rng.uniform(75, 150) if boards else rng.uniform(25, 65)
    colour: Rgb = (shade * 1.15, shade * 0.95, shade * 0.75) if boards else (shade, shade + 6, shade + 8)
    if boards:
        canvas.polygon(_wall(canvas, row.x, near, far, 0, tall), colour, FENCE, middle, brightness)
    else:
        canvas.mark(_wall(canvas, row.x, near, far, 0, tall), FENCE)
        for rail in (0.15, tall - 0.1):
            canvas.polygon(
                _wall(canvas, row.x, near, far, rail, rail + 0.1), colour, FENCE, middle, brightness
            )
    step = (0.5 if boards else 0.28) * max(1.0, middle / 16)
    z = np.arange(near, far, step)
    thick = 0.07 if boards else 0.09
    bars = _panes(
        canvas, row.x, z, z + thick * max(1.0, middle / 16), np.zeros_like(z), np.full_like(z, tall + 0.05)
    )
    canvas.polygons(bars, colour, FENCE, middle, brightness * (0.72 if boards else 1.0))
