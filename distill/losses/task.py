"""The task itself: cross-entropy of upsampled logits on labelled pixels, for the main and the auxiliary head.

Source: the authors' Af-DCD and CIRKD code: logits go up to label size (bilinear, corners aligned), ignored
pixels are left out of the mean. Ours may be divided by a count from outside, and a batch without a label
costs 0 instead of NaN.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from distill.losses.precision import outside_autocast, widen
from distill.networks.output import SegOutput, upsample
from modelpack.errors import ShapeError
from modelpack.labels import IGNORE


def task_loss(
    output: SegOutput, target: Tensor, *, size: tuple[int, int], valid_pixels: Tensor | None = None
) -> dict[str, Tensor]:
    """Unweighted terms: `task`, and `aux` where the network gave auxiliary logits; each () float32.

    Args:
        target: (N, H, W) integer labels, 255 = ignored.
        size: (H, W) of the images before the network padded them; that of `target`.
        valid_pixels: see `cross_entropy`.
    """
    if tuple(target.shape[1:]) != size:
        raise ShapeError(
            f"task_loss: labels are {tuple(target.shape[1:])}, images {size}; they must be equal."
        )
    heads = {"task": output.logits, "aux": output.aux_logits}
    return {
        name: cross_entropy(logits, target, padded_size=output.padded_size, valid_pixels=valid_pixels)
        for name, logits in heads.items()
        if logits is not None
    }


@outside_autocast
def cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    padded_size: tuple[int, int] | None = None,
    valid_pixels: Tensor | None = None,
    ignore: int = IGNORE,
) -> Tensor:
    """Sum of the pixels' cross-entropies, divided by `valid_pixels`.

    Args:
        logits: (N, classes, h, w) at any resolution.
        target: (N, H, W) integer labels.
        padded_size: (height, width) that the logits cover, at least (H, W); None: (H, W).
        valid_pixels: divisor. None: the labelled pixels of this batch. Where gradients are averaged over
            processes or accumulation steps, give the labelled pixels of the whole batch divided by the number
            of parts.

    Returns:
        () float32 (float64 for float64 logits), in nats. 0, with a gradient of 0, if nothing is labelled.
    """
    if target.ndim != 3 or logits.ndim != 4 or logits.shape[0] != target.shape[0]:
        raise ShapeError(
            f"cross_entropy needs logits (N, classes, h, w) and labels (N, H, W) of the same N, got "
            f"{tuple(logits.shape)} and {tuple(target.shape)}."
        )
    size = (target.shape[1], target.shape[2])
    full = upsample(widen(logits), padded_size or size, size)
    if valid_pixels is None:
        valid_pixels = (target != ignore).sum()
    total = F.cross_entropy(full, target.long(), ignore_index=ignore, reduction="sum")
    return total / torch.where(valid_pixels > 0, valid_pixels, 1)
