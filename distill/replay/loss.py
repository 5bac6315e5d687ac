"""A file's one loss, and its gradients by the arrays that they are with respect to."""

from collections.abc import Mapping

import torch
from torch import Tensor

from distill.replay.comparison import Comparison, tolerances
from distill.replay.golden import Golden

EXACT = (1e-10, 1e-9)
"""Of float64 losses and gradients: the same formula, summed in another order."""
ROUNDED = (1e-4, 1e-4)
"""Of float32 ones."""


def compare_loss(golden: Golden, loss: Tensor, leaves: Mapping[str, Tensor]) -> Comparison:
    """`loss`, and each `grad_NAME` on file; leaves: by NAME, what the loss was computed from."""
    torch.autograd.backward(loss)
    comparison = Comparison(tolerances(golden.dtype, float64=EXACT, float32=ROUNDED))
    comparison.add("loss", "loss", loss, golden.reference("loss"))
    for name, leaf in leaves.items():
        if golden.has(f"grad_{name}"):
            gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
            comparison.add("grad", f"grad_{name}", gradient, golden.reference(f"grad_{name}"))
    return comparison
