"""Lamp posts, bollards (Pole), and signs, traffic lights and boards on posts (SignSymbol)."""

from math import cos, pi, sin
from random import Random

from distill.datasets.street.camera import NEAREST
from distill.datasets.street.canvas import Canvas
from distill.datasets.street.classes import POLE, SIGN
from distill.datasets.street.light import Rgb

_STEEL: tuple[Rgb, ...] = ((122, 124, 126), (58, 62, 60), (160, 160, 156), (44, 56, 50))
_RED: Rgb = (200, 30, 34)
_BLUE: Rgb = (24, 78, 170)
_WHITE: Rgb = (238, 238, 234)


def draw_lamp_post(canvas: Canvas, x: float, z: float, inward: int, rng: Random) -> None:
    """`inward`: 1 when the road is to the right of the post, -1 when to the left."""
    z = max(z, NEAREST + 0.6)
    at, scale, tall = canvas.camera.at, canvas.camera.scale(z), rng.uniform(5.0, 8.5)
    steel, facing = rng.choice(_STEEL), canvas.light.facing
    arm = x + inward * rng.uniform(0.6, 1.8)
    canvas.rod(at(x, 0, z), at(x, tall, z), 0.15 * scale, steel, POLE, z, facing)
    canvas.rod(at(x, tall, z), at(arm, tall + 0.15, z), 0.1 * scale, steel, POLE, z, facing)
    glow = (255, 226, 160) if canvas.light.lamps > 0.2 else steel
    canvas.disc(at(arm, tall + 0.1, z), (0.32 * scale, 0.12 * scale), glow, POLE, z, 1.3)


def draw_bollard(canvas: Canvas, x: float, z: float, rng: Random) -> None:
    z = max(z, NEAREST + 0.8)
    at, scale = canvas.camera.at, canvas.camera.scale(z)
    canvas.rod(at(x, 0, z), at(x, rng.uniform(0.8, 1.1), z), 0.16 * scale, rng.choice(_STEEL), POLE, z)


def draw_sign(canvas: Canvas, x: float, z: float, rng: Random) -> None:
    """A post with one or two of: round, triangular, square sign, or a traffic light."""
    z = max(z, NEAREST + 1.2)
    at, scale, tall = canvas.camera.at, canvas.camera.scale(z), rng.uniform(2.4, 3.4)
    canvas.rod(at(x, 0, z), at(x, tall, z), 0.1 * scale, rng.choice(_STEEL), POLE, z, canvas.light.facing)
    chance = rng.random()
    if chance < 0.28:
        _draw_traffic_light(canvas, x, z, tall, rng)
    else:
        _draw_plate(canvas, x, z, tall - 0.2, rng.uniform(0.32, 0.5), rng)
        if chance > 0.75:
            _draw_plate(canvas, x, z, tall - 1.15, 0.33, rng)


def draw_board(canvas: Canvas, x: float, z: float, rng: Random) -> None:
    """An advertisement on two legs."""
    z = max(z, NEAREST + 2)
    wide, low, high = rng.uniform(0.35, 0.8), rng.uniform(0.1, 0.5), rng.uniform(1.2, 2.4)
    frame: Rgb = (rng.uniform(40, 230), rng.uniform(40, 210), rng.uniform(40, 200))
    paper: Rgb = (rng.uniform(90, 245), rng.uniform(90, 245), rng.uniform(90, 245))
    camera, facing = canvas.camera, canvas.light.facing
    for side in (-wide * 0.8, wide * 0.8):
        foot, top = camera.upright(x, z, [(side, 0), (side, low)])
        canvas.rod(foot, top, 0.08 * camera.scale(z), (60, 60, 62), POLE, z)
    for inset, colour in ((0.0, frame), (0.08, paper)):
        a, b, c = wide - inset, low + inset, high - inset
        outline = camera.upright(x, z, [(-a, b), (-a, c), (a, c), (a, b)])
        canvas.polygon(outline, colour, SIGN, z, facing)
    stripe = camera.upright(
        x,
        z,
        [
            (-wide * 0.6, high * 0.62),
            (-wide * 0.6, high * 0.78),
            (wide * 0.6, high * 0.78),
            (wide * 0.6, high * 0.62),
        ],
    )
    canvas.polygon(stripe, frame, SIGN, z, facing)


def _draw_plate(canvas: Canvas, x: float, z: float, up: float, radius: float, rng: Random) -> None:
    kind = rng.randint(0, 3)
    corners, turn = ((12, 0.0), (3, pi / 2), (4, pi / 4), (12, 0.0))[kind]
    rim, field = ((_RED, _WHITE), (_RED, _WHITE), (_BLUE, _BLUE), (_BLUE, _WHITE))[kind]
    for size, colour in ((radius, rim), (radius * 0.68, field)):
        outline = [
            (size * cos(turn + 2 * pi * i / corners), up + size * sin(turn + 2 * pi * i / corners))
            for i in range(corners)
        ]
        canvas.polygon(canvas.camera.upright(x, z, outline), colour, SIGN, z, canvas.light.facing)
    bar = radius * 0.3
    mark = [(-bar, up - bar * 0.4), (-bar, up + bar * 0.4), (bar, up + bar * 0.4), (bar, up - bar * 0.4)]
    canvas.polygon(canvas.camera.upright(x, z, mark), (30, 30, 36) if field == _WHITE else _WHITE, SIGN, z)


def _draw_traffic_light(canvas: Canvas, x: float, z: float, tall: float, rng: Random) -> None:
    camera, facing = canvas.camera, canvas.light.facing
    box = camera.upright(
        x, z, [(-0.2, tall - 1.0), (-0.2, tall + 0.05), (0.2, tall + 0.05), (0.2, tall - 1.0)]
    )
    canvas.polygon(box, (26, 28, 28), SIGN, z, facing)
    on = rng.randint(0, 2)
    for i, colour in enumerate(((250, 40, 30), (250, 180, 30), (40, 240, 120))):
        (lens,) = camera.upright(x, z, [(0.0, tall - 0.15 - 0.33 * i)])
        radius = 0.12 * camera.scale(z)
        bright = 1.0 / max(canvas.light.tint) if i == on else 0.25
        canvas.disc(lens, (radius, radius), colour, SIGN, z, bright)
