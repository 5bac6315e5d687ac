"""Two networks' outputs around given maps, and a method run on them."""

from typing import Any

import torch
from torch import Tensor

from distill.methods import METHODS
from distill.methods.method import Method, Pair, StepContext
from distill.networks.output import FeatureInfo, SegOutput

CLASSES = 4


def noise(*shape: int, seed: int = 0) -> Tensor:
    """float64, normally distributed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def output_of(head: Tensor, *, logits: Tensor | None = None, padded: tuple[int, int] = (33, 33)) -> SegOutput:
    """A network whose head feature is `head`; logits of zeros where none are given."""
    if logits is None:
        logits = head.new_zeros(head.shape[0], CLASSES, *head.shape[2:])
    return SegOutput(logits, aux_logits=None, features={"head": head}, padded_size=padded)


def built(name: str, student_channels: int, teacher_channels: int, **settings: Any) -> Method:
    """The method for heads of these widths, its layers as from seed 0."""
    entry = METHODS[name]
    torch.manual_seed(0)
    infos = [{"head": FeatureInfo(channels, 8)} for channels in (student_channels, teacher_channels)]
    return entry.build(entry.settings(name=name, **settings), Pair(infos[0], infos[1], CLASSES))


def terms_of(
    method: Method, student: SegOutput, teacher: SegOutput, target: Tensor | None = None
) -> dict[str, Tensor]:
    """target: labels at image size; None: all of class 0."""
    images = student.logits.shape[0]
    if target is None:
        target = torch.zeros(images, *teacher.padded_size, dtype=torch.uint8)
    terms: dict[str, Tensor] = method(student, teacher, target, StepContext(0, tuple(range(images))))
    return terms
