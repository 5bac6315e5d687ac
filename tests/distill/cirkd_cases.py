"""CIRKD at a size that computes in no time: four images, a small memory."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from distill.distributed import Processes
from distill.methods.cirkd import Cirkd
from distill.methods.method import StepContext
from tests.distill.feature_pairs import CLASSES, built, noise, output_of

STUDENT_WIDTH, TEACHER_WIDTH, SIDE = 3, 5, 4
IMAGES = 4
SMALL = {
    "pixel_memory": 40,
    "region_memory": 20,
    "enqueued_pixels": 6,
    "pixel_contrasts": 30,
    "region_contrasts": 20,
}


def small_cirkd(**over: Any) -> Cirkd:
    """Weights and noise as from seed 0."""
    method = built("cirkd", STUDENT_WIDTH, TEACHER_WIDTH, **SMALL | over)
    assert isinstance(method, Cirkd)
    return method


def features(role: str, step: int = 0) -> Tensor:
    """float32 (images, width, side, side)."""
    width = {"student": STUDENT_WIDTH, "teacher": TEACHER_WIDTH}[role]
    return noise(IMAGES, width, SIDE, SIDE, seed=10 * step + width).float()


def labels() -> Tensor:
    """Twice as large as the maps; no pixel of the last class, three quarters of the first image ignored."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(0, CLASSES - 1, (IMAGES, 2 * SIDE, 2 * SIDE), generator=generator)
    drawn[0, 2:] = 255
    return drawn.byte()


def context(step: int = 0) -> StepContext:
    return StepContext(step, tuple(range(100, 100 + IMAGES)))


def take_step(
    method: Cirkd,
    step: int = 0,
    images: slice = slice(0, IMAGES),
    processes: Processes | None = None,
    target: Tensor | None = None,
) -> tuple[dict[str, Tensor], Tensor]:
    """Terms of some of the images, and the gradient of their sum with respect to the student's feature."""
    student = features("student", step)[images].requires_grad_()
    whole = context(step)
    padded = (2 * SIDE, 2 * SIDE)
    terms = method(
        output_of(student, padded=padded),
        output_of(features("teacher", step)[images], padded=padded),
        (labels() if target is None else target)[images],
        replace(whole, sample_seeds=whole.sample_seeds[images], processes=processes or Processes()),
    )
    torch.stack(list(terms.values())).sum().backward()
    assert student.grad is not None
    return {name: value.detach() for name, value in terms.items()}, student.grad
