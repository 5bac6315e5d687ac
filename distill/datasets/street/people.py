"""Pedestrians and cyclists. The bicycle belongs to the Bicyclist."""

from random import Random

from distill.datasets.street.camera import NEAREST, Point
from distill.datasets.street.canvas import Canvas
from distill.datasets.street.classes import BICYCLIST, PEDESTRIAN
from distill.datasets.street.light import Rgb

_SKIN: tuple[Rgb, ...] = ((226, 182, 150), (198, 146, 112), (140, 96, 70), (92, 64, 50))
_CLOTHES: tuple[Rgb, ...] = (
    *((34, 36, 48), (70, 72, 78), (150, 40, 42), (44, 70, 120), (196, 196, 190), (96, 108, 72)),
    *((208, 168, 60), (112, 78, 56), (54, 108, 116), (160, 150, 140), (24, 24, 26), (180, 96, 130)),
)
_TYRE: Rgb = (30, 30, 32)


def draw_pedestrian(canvas: Canvas, x: float, z: float, rng: Random) -> None:
    z = max(z, NEAREST + 1.2)
    if not canvas.camera.sees(x, z, 0.7):
        return
    tall = rng.uniform(1.5, 1.9) if rng.random() < 0.88 else rng.uniform(0.95, 1.35)
    stride, wide = rng.uniform(0.03, 0.2) * tall, rng.uniform(0.125, 0.165) * tall
    coat, trousers, skin = rng.choice(_CLOTHES), rng.choice(_CLOTHES), rng.choice(_SKIN)
    hip, shoulder = 0.48 * tall, 0.82 * tall
    hem = hip - (rng.uniform(0, 0.22) * tall if rng.random() < 0.4 else 0)
    leg = 0.055 * tall
    legs = [
        [(foot - leg, 0.0), (hip_x - leg, hip), (hip_x + leg, hip), (foot + leg, 0.0)]
        for foot, hip_x in ((-stride, -0.06 * tall), (stride, 0.06 * tall))
    ]
    torso = [(-wide * 0.85, hem), (-wide, shoulder * 0.96), (-wide * 0.6, shoulder), (wide * 0.6, shoulder)]
    torso += [(wide, shoulder * 0.96), (wide * 0.85, hem)]
    for part, colour, bright in ((legs[0], trousers, 0.8), (legs[1], trousers, 0.95), (torso, coat, 1.0)):
        _limb(canvas, x, z, part, colour, PEDESTRIAN, bright)
    for side in (-1, 1):
        hand = side * (wide + rng.uniform(0.0, 0.09) * tall)
        arm = [
            (side * wide * 0.8, shoulder * 0.97),
            (side * wide * 1.12, shoulder * 0.93),
            (hand + 0.04, hip),
            (hand - 0.04, hip),
        ]
        _limb(canvas, x, z, arm, coat, PEDESTRIAN, 0.86)
    if rng.random() < 0.25:
        bag = [(wide, hip * 0.65), (wide, hip * 1.05), (wide + 0.22, hip * 1.05), (wide + 0.22, hip * 0.65)]
        _limb(canvas, x, z, bag, rng.choice(_CLOTHES), PEDESTRIAN, 0.9)
    _head(canvas, x, z, (0.0, 0.905 * tall), 0.068 * tall, skin, rng.choice(_CLOTHES), PEDESTRIAN)


def draw_cyclist(canvas: Canvas, x: float, z: float, is_across: bool, rng: Random) -> None:
    """Seen from behind or in front, or from the side when `is_across`."""
    z = max(z, NEAREST + 1.6)
    if not canvas.camera.sees(x, z, 1.0):
        return
    coat, trousers, skin = rng.choice(_CLOTHES), rng.choice(_CLOTHES), rng.choice(_SKIN)
    helmet = rng.choice(_CLOTHES)
    if is_across:
        _side_view(canvas, x, z, coat, trousers, rng)
        _head(canvas, x, z, (0.18, 1.62), 0.125, skin, helmet, BICYCLIST)
        return
    _limb(canvas, x, z, [(-0.04, 0.0), (-0.04, 0.72), (0.04, 0.72), (0.04, 0.0)], _TYRE, BICYCLIST, 1.0)
    up = rng.uniform(-0.12, 0.12)
    for side in (-1, 1):
        foot = 0.28 + side * up
        leg = [
            (side * 0.11 - 0.06, foot),
            (side * 0.13 - 0.08, 0.98),
            (side * 0.13 + 0.08, 0.98),
            (side * 0.11 + 0.06, foot),
        ]
        _limb(canvas, x, z, leg, trousers, BICYCLIST, 0.9)
        grip = [(side * 0.2, 1.36), (side * 0.24, 1.42), (side * 0.34, 1.05), (side * 0.27, 1.02)]
        _limb(canvas, x, z, grip, coat, BICYCLIST, 0.85)
    torso = [(-0.17, 0.92), (-0.24, 1.38), (-0.12, 1.46), (0.12, 1.46), (0.24, 1.38), (0.17, 0.92)]
    _limb(canvas, x, z, torso, coat, BICYCLIST, 1.0)
    _head(canvas, x, z, (0.0, 1.58), 0.125, skin, helmet, BICYCLIST)


def _side_view(canvas: Canvas, x: float, z: float, coat: Rgb, trousers: Rgb, rng: Random) -> None:
    """Two wheels, a frame and a rider leaning forward (to the right)."""
    foot, scale = canvas.camera.at(x, 0, z), canvas.camera.scale(z)

    def at(right: float, up: float) -> Point:
        return foot[0] + right * scale, foot[1] - up * scale

    for wheel in (-0.52, 0.52):
        canvas.disc(at(wheel, 0.34), (0.34 * scale, 0.34 * scale), _TYRE, BICYCLIST, z)
        canvas.disc(at(wheel, 0.34), (0.27 * scale, 0.27 * scale), (118, 116, 114), BICYCLIST, z)
    frame = rng.choice(_CLOTHES)
    for start, end in (
        ((-0.52, 0.34), (-0.12, 0.82)),
        ((-0.12, 0.82), (0.38, 0.86)),
        ((0.52, 0.34), (0.38, 0.98)),
    ):
        canvas.rod(at(*start), at(*end), 0.05 * scale, frame, BICYCLIST, z)
    _limb(
        canvas,
        x,
        z,
        [(-0.24, 0.95), (0.1, 0.68), (0.16, 0.28), (0.02, 0.26), (-0.04, 0.6), (-0.3, 0.82)],
        trousers,
        BICYCLIST,
        0.9,
    )
    _limb(
        canvas,
        x,
        z,
        [(-0.3, 0.88), (-0.02, 1.46), (0.16, 1.48), (0.16, 1.3), (-0.06, 0.88)],
        coat,
        BICYCLIST,
        1.0,
    )
    _limb(canvas, x, z, [(0.06, 1.42), (0.16, 1.4), (0.42, 1.04), (0.36, 0.98)], coat, BICYCLIST, 0.85)


def _limb(
    canvas: Canvas, x: float, z: float, outline: list[Point], colour: Rgb, label: int, bright: float
) -> None:
    canvas.polygon(canvas.camera.upright(x, z, outline), colour, label, z, bright * canvas.light.facing)


def _head(
    canvas: Canvas, x: float, z: float, centre: Point, radius: float, skin: Rgb, cover: Rgb, label: int
) -> None:
    """A face with hair, hat or helmet above it; `centre` and `radius` in metres from the foot."""
    (middle,) = canvas.camera.upright(x, z, [centre])
    (above,) = canvas.camera.upright(x, z, [(centre[0], centre[1] + radius * 0.55)])
    size = radius * canvas.camera.scale(z)
    canvas.disc(middle, (size * 0.85, size * 1.1), skin, label, z, canvas.light.facing)
    canvas.disc(above, (size * 0.88, size * 0.62), cover, label, z, canvas.light.facing)
