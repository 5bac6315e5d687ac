"""Cars, vans and buses: boxes with a cabin, seen from behind or from the front. All of them are Car."""

from dataclasses import dataclass
from random import Random

from distill.datasets.street.camera import NEAREST, Point
from distill.datasets.street.canvas import Canvas
from distill.datasets.street.classes import CAR, ROAD
from distill.datasets.street.light import Rgb

_PAINTS: tuple[Rgb, ...] = (
    *((178, 28, 30), (28, 52, 128), (200, 203, 206), (232, 232, 232), (34, 34, 38), (92, 96, 102)),
    *((52, 88, 66), (150, 140, 120), (70, 118, 158), (128, 24, 44), (222, 190, 60), (120, 122, 126)),
)
_GLASS: Rgb = (48, 56, 66)
_TYRE: Rgb = (26, 26, 28)
_DETAIL_REACH = 32.0
"""Metres up to which side windows, wheels and plates can be told apart."""


@dataclass(frozen=True)
class _Shape:
    """Metres. Heights above the ground; the cabin begins at `waist`."""

    length: float
    width: float
    waist: float
    roof: float
    cabin_inset: float
    """How far the cabin stands back from the front and rear."""


_SHAPES = (
    _Shape(4.1, 1.72, 0.88, 1.46, 0.55),
    _Shape(4.5, 1.8, 0.92, 1.42, 0.75),
    _Shape(4.4, 1.86, 1.0, 1.68, 0.35),
    _Shape(5.2, 2.0, 1.2, 2.35, 0.12),
    _Shape(10.5, 2.5, 1.15, 3.1, 0.04),
)
_SHARES = (36, 28, 18, 12, 6)


def draw_car(canvas: Canvas, x: float, z: float, is_oncoming: bool, rng: Random) -> None:
    """A car centred on x whose end nearest to the camera is at z."""
    shape = rng.choices(_SHAPES, _SHARES)[0]
    paint = rng.choice(_PAINTS)
    near, far = max(z, NEAREST + 0.5), max(z, NEAREST + 0.5) + shape.length
    half = shape.width / 2
    if not canvas.camera.sees(x, far, half + 0.3) and not canvas.camera.sees(x, near, half + 0.3):
        return
    at, light = canvas.camera.at, canvas.light
    shade = [at(x - half - 0.1, 0, near - 0.2), at(x + half + 0.1, 0, near - 0.2)]
    shade += [at(x + half + 0.1, 0, far), at(x - half - 0.1, 0, far)]
    canvas.polygon(shade, (38, 38, 42), ROAD, near)
    _draw_flank(canvas, x, near, far, shape, paint)
    top = [
        at(x - half * 0.82, shape.roof, near + shape.cabin_inset),
        at(x + half * 0.82, shape.roof, near + shape.cabin_inset),
    ]
    top += [
        at(x + half * 0.82, shape.roof, far - shape.cabin_inset),
        at(x - half * 0.82, shape.roof, far - shape.cabin_inset),
    ]
    canvas.polygon(top, paint, CAR, near, 1.12)
    deck = [at(x - half, shape.waist, near), at(x + half, shape.waist, near)]
    inset = near + shape.cabin_inset
    deck += [at(x + half * 0.9, shape.waist, inset), at(x - half * 0.9, shape.waist, inset)]
    canvas.polygon(deck, paint, CAR, near, 1.1)
    window = [at(x - half * 0.92, shape.waist, inset - 0.05), at(x + half * 0.92, shape.waist, inset - 0.05)]
    window += [at(x + half * 0.78, shape.roof, inset + 0.1), at(x - half * 0.78, shape.roof, inset + 0.1)]
    canvas.polygon(window, paint, CAR, near, light.facing)
    centre = ((window[0][0] + window[1][0]) / 2, (window[0][1] + window[2][1]) / 2)
    glass = [(centre[0] + (px - centre[0]) * 0.86, centre[1] + (py - centre[1]) * 0.72) for px, py in window]
    canvas.polygon(glass, _GLASS, CAR, near, light.facing)
    _draw_end(canvas, x, near, shape, paint, is_oncoming)


def _draw_flank(canvas: Canvas, x: float, near: float, far: float, shape: _Shape, paint: Rgb) -> None:
    """The long side that the camera sees: the one nearer to the line of sight."""
    at, light = canvas.camera.at, canvas.light
    bend = canvas.camera.bend * near * near
    side = -1 if x + bend > 0 else 1
    flank_x = x + side * shape.width / 2
    brightness = light.left_walls if side > 0 else light.right_walls
    length = shape.length
    body = [(0.0, 0.32), (0.0, shape.waist), (1.0, shape.waist), (1.0, 0.32)]
    canvas.polygon([at(flank_x, y, near + u * length) for u, y in body], paint, CAR, near, brightness * 0.9)
    a = shape.cabin_inset / length
    cabin = [
        (a, shape.waist),
        (a + 0.03, shape.roof),
        (0.97 - a * 1.3, shape.roof),
        (1 - a * 1.6, shape.waist),
    ]
    inner_x = flank_x - side * 0.1
    canvas.polygon([at(inner_x, y, near + u * length) for u, y in cabin], paint, CAR, near, brightness * 0.9)
    if near > _DETAIL_REACH:
        return
    low, high = shape.waist + 0.06, shape.roof - 0.12
    for start, end in ((a + 0.06, 0.5), (0.53, 0.93 - a * 1.3)):
        pane = [(start, low), (start + 0.01, high), (end, high), (end, low)]
        canvas.polygon([at(inner_x, y, near + u * length) for u, y in pane], _GLASS, CAR, near, brightness)
    for u in (0.19, 0.8):
        wheel_z = near + u * length
        scale = canvas.camera.scale(wheel_z)
        hub = at(flank_x, 0.32, wheel_z)
        thin = max(0.12, min(0.33, abs(flank_x) / wheel_z))
        canvas.disc(hub, (scale * thin, scale * 0.33), _TYRE, CAR, near)


def _draw_end(canvas: Canvas, x: float, z: float, shape: _Shape, paint: Rgb, is_oncoming: bool) -> None:
    """Rear or front: body, bumper, wheels, lights, plate."""
    half, waist, brightness = shape.width / 2, shape.waist, canvas.light.facing

    def draw(outline: list[Point], colour: Rgb, bright: float = brightness) -> None:
        canvas.polygon(canvas.camera.upright(x, z, outline), colour, CAR, z, bright)

    is_detailed = z < _DETAIL_REACH
    for side in (-1, 1) if is_detailed else ():
        a, b = side * half * 0.95, side * (half * 0.95 - 0.22)
        draw([(a, 0.0), (a, 0.4), (b, 0.4), (b, 0.0)], _TYRE)
    draw(
        [
            (-half, 0.28),
            (-half, waist * 0.85),
            (-half * 0.93, waist),
            (half * 0.93, waist),
            (half, waist * 0.85),
            (half, 0.28),
        ],
        paint,
    )
    if is_detailed:
        draw([(-half, 0.24), (-half, 0.46), (half, 0.46), (half, 0.24)], (48, 48, 50))
    glow = 1.0 / max(canvas.light.tint) if canvas.light.lamps > 0.05 else 1.0
    lamp = (250, 244, 214) if is_oncoming else (196, 26, 24)
    for side in (-1, 1):
        a, b = side * half * 0.96, side * half * (0.62 if is_oncoming else 0.76)
        draw([(a, waist * 0.62), (a, waist * 0.84), (b, waist * 0.84), (b, waist * 0.62)], lamp, glow)
    if not is_detailed:
        return
    if is_oncoming:
        draw(
            [
                (-half * 0.5, 0.48),
                (-half * 0.5, waist * 0.72),
                (half * 0.5, waist * 0.72),
                (half * 0.5, 0.48),
            ],
            (40, 40, 44),
        )
    else:
        draw([(-0.26, 0.5), (-0.26, 0.63), (0.26, 0.63), (0.26, 0.5)], (226, 210, 120))
