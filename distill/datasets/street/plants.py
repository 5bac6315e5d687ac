"""Trees: a trunk and a crown of leaves, or the bare twigs of winter. Trunk and crown are both Tree."""

from math import cos, pi, sin
from random import Random

from distill.datasets.street.camera import NEAREST
from distill.datasets.street.canvas import Canvas
from distill.datasets.street.classes import TREE
from distill.datasets.street.light import Rgb

_LEAVES: tuple[Rgb, ...] = (
    (74, 104, 48),
    (58, 92, 52),
    (96, 118, 58),
    (52, 78, 44),
    (128, 112, 52),
    (142, 92, 48),
)
_BARK: Rgb = (82, 70, 58)


def draw_tree(canvas: Canvas, x: float, z: float, tall: float, rng: Random) -> None:
    """A tree of `tall` metres with its foot at (x, 0, z)."""
    z = max(z, NEAREST + 0.8)
    camera = canvas.camera
    if not camera.sees(x, z, tall * 0.5):
        return
    foot, scale = camera.at(x, 0, z), camera.scale(z)
    fork = (foot[0], foot[1] - scale * tall * 0.5)
    canvas.rod(foot, fork, scale * tall * rng.uniform(0.03, 0.05), _BARK, TREE, z, canvas.light.facing)
    if rng.random() < 0.15:
        _draw_twigs(canvas, fork, scale * tall, z, rng)
        return
    leaf = rng.choice(_LEAVES)
    centre_y, wide, high = (
        foot[1] - scale * tall * 0.66,
        scale * tall * rng.uniform(0.2, 0.32),
        scale * tall * 0.32,
    )
    sun = canvas.light.right_walls - canvas.light.left_walls
    puffs = 20 if z < 18 else 10 if z < 45 else 5
    for i in range(puffs):
        angle, reach = rng.uniform(0, 2 * pi), rng.random() ** 0.6
        right, up = cos(angle) * reach, sin(angle) * reach
        # The first puffs are the dark inside, the last the lit outside.
        bright = 0.62 + 0.5 * i / puffs + 0.2 * up - 0.35 * sun * right + rng.uniform(-0.08, 0.08)
        size = wide * rng.uniform(0.28, 0.55) * (1.15 - 0.4 * i / puffs)
        centre = (foot[0] + right * wide, centre_y - up * high)
        canvas.disc(centre, (size, size), leaf, TREE, z, max(0.3, bright))


def _draw_twigs(canvas: Canvas, fork: tuple[float, float], tall: float, z: float, rng: Random) -> None:
    """`tall` in pixels."""
    for _ in range(14 if z < 30 else 6):
        angle, reach = rng.uniform(0.12, 0.88) * pi, tall * rng.uniform(0.25, 0.5)
        knee = (fork[0] + cos(angle) * reach * 0.5, fork[1] - sin(angle) * reach * 0.5)
        bent = angle + rng.uniform(-0.6, 0.6)
        tip = (knee[0] + cos(bent) * reach * 0.5, knee[1] - sin(bent) * reach * 0.5)
        for start, end in ((fork, knee), (knee, tip)):
            canvas.rod(start, end, tall * 0.012, _BARK, TREE, z, canvas.light.facing)
