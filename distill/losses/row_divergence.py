"""How differently two networks relate pixels to others: KL divergence of rows and its derivative, in blocks.

What compares every pixel with thousands of others works on a block of rows, uses it for the loss and the
gradient, and forgets it; what is kept for the backward pass is the gradient itself.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

_BLOCK_ELEMENTS = {"cpu": 1 << 20, "cuda": 1 << 25}
"""Similarities held at a time for each network. Up to five float32 buffers: 20 MiB on a CPU, 640 on a GPU."""


def row_divergence(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """KL(teacher || student) of each row's softmax, and its derivative by the student's logits.

    student, teacher: logits (rows, columns). Returns (rows,) in nats, and (rows, columns).
    """
    log_student, log_teacher = student.log_softmax(dim=1), teacher.log_softmax(dim=1)
    probability = log_teacher.exp()
    divergence = torch.linalg.vecdot(probability, log_teacher.sub_(log_student))
    return divergence, log_student.exp_().sub_(probability)


def row_blocks(rows: int, columns: int, device: torch.device) -> Iterator[slice]:
    """Slices that cover `rows` once, as many rows at a time as `_BLOCK_ELEMENTS` allows; at least one."""
    budget = _BLOCK_ELEMENTS.get(device.type, _BLOCK_ELEMENTS["cpu"])
    at_once = max(1, budget // columns)
    for first in range(0, rows, at_once):
        yield slice(first, min(first + at_once, rows))
