"""What a pre-training step compares with what, on two views whose loss can be written down."""

import math

import pytest
import torch
from torch import Tensor, nn

from distill.compute import Compute
from distill.config import ComputeConfig
from distill.distributed import Processes
from distill.networks.output import FeatureInfo, SegNetwork, SegOutput
from distill.pretrain.pairing import Pairing
from distill.pretrain.ring_queue import RingQueue
from distill.pretrain.step import Contrast, PretrainStep
from distill.pretrain.teacher import FrozenTeacher
from modelpack.preprocess import Normalisation

TEMPERATURE = 0.2
QUEUE = 5
AS_THEY_ARE = Normalisation(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
RED, GREEN = (200, 0, 0), (0, 200, 0)
LEFT_TO_RIGHT, MIRRORED = (0.0, 0.0, 1.0, 1.0), (1.0, 0.0, 0.0, 1.0)
TOLERANCE = 1e-5
"""float32."""


class PixelsThemselves(SegNetwork):
    """A network whose feature is the image, and which has nothing to learn."""

    def __init__(self) -> None:
        super().__init__()
        self.num_classes, self.normalisation, self.has_aux = 2, AS_THEY_ARE, False
        self.feature_info = {"stage1": FeatureInfo(3, 1)}

    def forward(self, images: Tensor) -> SegOutput:
        raise NotImplementedError

    def backbone_part(self) -> nn.Module:
        return nn.Identity()

    def backbone_features(self, images: Tensor) -> dict[str, Tensor]:
        return {"stage1": images}


def loss(pairing: Pairing, colours: tuple[tuple[int, int, int], ...], place: tuple[float, ...]) -> float:
    """Of two views of 2x1 pixels: one of the whole image, red on the left and green on the right, and one of
    `place` that has these colours.

    What the queue remembers is blue: at a right angle to both.
    """
    queue = RingQueue(3, QUEUE)
    queue.vectors.copy_(torch.tensor([[0.0], [0.0], [1.0]]).expand(3, QUEUE))
    teacher = FrozenTeacher(nn.Identity(), nn.Identity(), AS_THEY_ARE, 3)
    compute = Compute.choose(ComputeConfig(device="cpu", precision="fp32"))
    contrast = Contrast("stage1", pairing, TEMPERATURE)
    step = PretrainStep(PixelsThemselves(), nn.Identity(), queue, teacher, contrast, compute, Processes())
    views = [torch.tensor(pair, dtype=torch.uint8).reshape(1, 1, 2, 3) for pair in ((RED, GREEN), colours)]
    value, _ = step((views[0], views[1]), (torch.tensor([LEFT_TO_RIGHT]), torch.tensor([place])))
    return float(value)


def expected(cosine: float) -> float:
    """-log(e^(c/T) / (e^(c/T) + queue e^0))."""
    return math.log(1 + QUEUE * math.exp(-cosine / TEMPERATURE))


@pytest.mark.parametrize(("pairing", "cosine"), [("grid", 0.0), ("place", 1.0)])
def test_of_a_mirrored_view_place_finds_the_same_pixel_and_grid_its_mirror_image(
    pairing: Pairing, cosine: float
) -> None:
    assert loss(pairing, (GREEN, RED), MIRRORED) == pytest.approx(expected(cosine), rel=TOLERANCE)


@pytest.mark.parametrize("pairing", ["grid", "place"])
def test_of_the_same_view_twice_both_find_the_same_pixel(pairing: Pairing) -> None:
    assert loss(pairing, (RED, GREEN), LEFT_TO_RIGHT) == pytest.approx(expected(1.0), rel=TOLERANCE)


def test_of_a_view_of_the_left_half_grid_pairs_green_with_red_and_place_leaves_green_out() -> None:
    left_half = (0.0, 0.0, 0.5, 1.0)
    by_grid = (expected(1.0) + expected(0.0)) / 2
    between_red_and_green = 3 / math.sqrt(10)  # a quarter of the way to green
    by_place = (expected(1.0) + (expected(1.0) + expected(between_red_and_green)) / 2) / 2
    assert loss("grid", (RED, RED), left_half) == pytest.approx(by_grid, rel=TOLERANCE)
    assert loss("place", (RED, RED), left_half) == pytest.approx(by_place, rel=TOLERANCE)
