"""One scene: a street is laid out, filled from the far end to the near, and photographed."""

from collections.abc import Callable
from functools import partial
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray

from distill.datasets.street.camera import random_camera
from distill.datasets.street.canvas import Canvas
from distill.datasets.street.furniture import draw_board, draw_bollard, draw_lamp_post, draw_sign
from distill.datasets.street.ground import draw_ground, draw_sky, draw_skyline
from distill.datasets.street.houses import draw_side
from distill.datasets.street.layout import Street, random_street
from distill.datasets.street.light import random_light
from distill.datasets.street.people import draw_cyclist, draw_pedestrian
from distill.datasets.street.plants import draw_tree
from distill.datasets.street.shadows import draw_shadows
from distill.datasets.street.texture import grain, sensor_noise
from distill.datasets.street.traffic import draw_car
from modelpack.labels import IGNORE

Thing = tuple[float, Callable[[], None]]
"""Distance in metres, and what draws it."""


def draw_scene(seed: int, height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Image (H, W, 3) RGB and mask (H, W) of CamVid's classes, 255 on the own bonnet; the same for a seed."""
    rng = Random(seed)
    canvas = Canvas(random_camera(rng, height, width), random_light(rng))
    street = random_street(rng)
    draw_sky(canvas, rng)
    draw_skyline(canvas, rng)
    draw_ground(canvas, street, rng)
    draw_shadows(canvas, street, rng)
    draw_side(canvas, street.left_wall, -1, rng)
    draw_side(canvas, street.right_wall, 1, rng)
    things = [*_along_the_kerbs(canvas, street, rng), *_on_the_road(canvas, street, rng)]
    for _, draw in sorted(things, key=lambda thing: -thing[0]):
        draw()
    if rng.random() < 0.15:
        _draw_bonnet(canvas, rng)
    image_hwc, mask_hw = canvas.finished()
    image_hwc = _photograph(image_hwc, mask_hw, canvas.light.noise, rng)
    if rng.random() < 0.5:
        return np.ascontiguousarray(image_hwc[:, ::-1]), np.ascontiguousarray(mask_hw[:, ::-1])
    return image_hwc, mask_hw


def _along_the_kerbs(canvas: Canvas, street: Street, rng: Random) -> list[Thing]:
    """Posts, signs, trees and people on both pavements."""
    things: list[Thing] = []
    for kerb, wall, inward in (
        (street.left_kerb, street.left_wall, 1),
        (street.right_kerb, street.right_wall, -1),
    ):
        edge = kerb - inward * 0.45
        if rng.random() < 0.7:
            step, z = rng.uniform(14, 28), rng.uniform(4, 16)
            while z < 70:
                things.append((z, partial(draw_lamp_post, canvas, edge, z, inward, rng)))
                z += step
        if rng.random() < 0.4:
            step, z = rng.uniform(7, 14), rng.uniform(4, 14)
            while z < 60:
                tall = rng.uniform(4, 8)
                things.append((z, partial(draw_tree, canvas, edge - inward * 0.3, z, tall, rng)))
                z += step
        if rng.random() < 0.3:
            start = rng.uniform(3, 14)
            for z in (start + 1.6 * i for i in range(rng.randint(3, 7))):
                things.append((z, partial(draw_bollard, canvas, edge, z, rng)))
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            z = rng.uniform(4, 30)
            draw = draw_sign if rng.random() < 0.78 else draw_board
            things.append((z, partial(draw, canvas, edge, z, rng)))
        for _ in range(rng.choice((0, 0, 1, 2, 4))):
            x, z = kerb + (wall - kerb) * rng.uniform(0.2, 0.85), rng.uniform(4.5, 34)
            things.append((z, partial(draw_pedestrian, canvas, x, z, rng)))
    return things


def _on_the_road(canvas: Canvas, street: Street, rng: Random) -> list[Thing]:
    """Parked and moving cars, cyclists, people who cross."""
    things: list[Thing] = []

    def car(x: float, z: float, is_oncoming: bool) -> None:
        things.append((z, partial(draw_car, canvas, x, z, is_oncoming, rng)))

    for parks, x in (
        (street.parks_left, street.left_kerb + 1.05),
        (street.parks_right, street.right_kerb - 1.05),
    ):
        z = rng.uniform(3, 16)
        while parks and z < 60:
            car(x + rng.uniform(-0.12, 0.12), z, rng.random() < 0.5)
            z += rng.uniform(6.5, 13)
    if rng.random() < 0.5:
        car(rng.uniform(-0.4, 0.4), rng.uniform(7, 30), False)
    for _ in range(rng.choice((0, 0, 1, 2))):
        car(street.middle * 2 + rng.uniform(-0.3, 0.3), rng.uniform(6, 55), True)
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2))):
        x = rng.choice((-street.middle * 0.75, street.middle * 2.7)) + rng.uniform(-0.3, 0.3)
        z = rng.uniform(4.5, 20)
        things.append((z, partial(draw_cyclist, canvas, x, z, False, rng)))
    if rng.random() < 0.2:
        x, z = rng.uniform(-3, 5), rng.uniform(6, 16)
        is_on_foot = rng.random() < 0.5
        person = (
            partial(draw_pedestrian, canvas, x, z, rng)
            if is_on_foot
            else partial(draw_cyclist, canvas, x, z, True, rng)
        )
        things.append((z, person))
    return things


def _draw_bonnet(canvas: Canvas, rng: Random) -> None:
    """The car that the camera rides in: no class has it."""
    camera, shade = canvas.camera, rng.uniform(15, 90)
    centre = (camera.width * rng.uniform(0.42, 0.58), camera.height * 1.06)
    radii = (camera.width * 0.62, camera.height * rng.uniform(0.1, 0.16))
    canvas.disc(centre, radii, (shade, shade, shade * 1.05), IGNORE, 0)


def _photograph(
    image_hwc: NDArray[np.uint8], mask_hw: NDArray[np.uint8], noise: float, rng: Random
) -> NDArray[np.uint8]:
    """Grain of surfaces, exposure, falloff to the corners, a lens that may be unsharp, sensor noise."""
    height, width = mask_hw.shape
    y, x = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)
    exposure, falloff = rng.uniform(0.82, 1.18), rng.uniform(0, 0.125)
    photo = image_hwc * (grain(rng, mask_hw) * (exposure - falloff * (y * y + x * x)))[..., None]
    if rng.random() < 0.4:
        photo = np.asarray(cv2.GaussianBlur(photo, (3, 3), rng.uniform(0.3, 0.7)))
    noisy = photo + sensor_noise(rng, height, width) * np.float32(noise)
    return noisy.clip(0, 255).astype(np.uint8)
