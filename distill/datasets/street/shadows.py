"""Shadows that houses and trees throw over road and pavement."""

from random import Random

from distill.datasets.street.camera import Point
from distill.datasets.street.canvas import Canvas
from distill.datasets.street.layout import Street


def draw_shadows(canvas: Canvas, street: Street, rng: Random) -> None:
    """Darken the ground; call it before anything stands on it."""
    light, at = canvas.light, canvas.camera.at
    if light.shadow_reach == 0.0:
        return
    wall = street.left_wall if light.shadow_reach > 0 else street.right_wall
    outlines: list[list[Point]] = []
    z = rng.uniform(1.5, 8)
    while z < 90:
        end, edge = z + rng.uniform(4, 16), wall + light.shadow_reach * rng.uniform(3, 9)
        outlines.append([at(wall, 0, z), at(wall, 0, end), at(edge, 0, end), at(edge, 0, z)])
        z = end + (rng.uniform(0, 10) if rng.random() < 0.5 else 0)
    canvas.darken(outlines, light.shadow)
