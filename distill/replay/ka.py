"""Files of method `ka`: the terms in every published reading, and the auto-encoder's objective."""

from collections.abc import Callable

import torch
from torch import Tensor

from distill.losses.adaptation import adaptation
from distill.losses.affinity import affinity
from distill.losses.autoencoding import code_size, reconstruction
from distill.replay.comparison import Comparison, tolerances
from distill.replay.golden import Golden
from distill.replay.loss import EXACT, ROUNDED

Term = Callable[[Tensor, Tensor], Tensor]
TERMS: dict[str, tuple[str, Term]] = {
    "adapt_torchdistill": ("adapted_student", lambda s, c: adaptation(s, c, unit="map", distance="l1")),
    "adapt_eq": ("adapted_student", lambda s, c: adaptation(s, c, unit="position", distance="l1")),
    "adapt_eq_p2": ("adapted_student", lambda s, c: adaptation(s, c, unit="position", distance="l2")),
    "aff_torchdistill": ("affinity_student", lambda s, c: affinity(s, c, form="per_channel")),
    "aff_eq_sum": ("affinity_student", lambda s, c: affinity(s, c, form="unscaled")),
    "aff_eq_sum_over_m": ("affinity_student", lambda s, c: affinity(s, c, form="published")),
    "aff_eq_mse": ("affinity_student", lambda s, c: affinity(s, c, form="mean_square")),
}
"""What follows `loss_` and `grad_` in the file -> the student's array, and the term of it and the code."""

SPARSITY_WEIGHT = 1e-7
"""Of files that name none."""


def replay_ka(golden: Golden) -> Comparison:
    """Each loss on file and its gradient with respect to the student's map."""
    code = golden.input("encoded_teacher")
    comparison = Comparison(tolerances(golden.dtype, float64=EXACT, float32=ROUNDED))
    for name, (array, term) in TERMS.items():
        if not golden.has(f"loss_{name}"):
            continue
        student = golden.input(array, requires_grad=True)
        loss = term(student, code)
        torch.autograd.backward(loss)
        comparison.add("loss", f"loss_{name}", loss, golden.reference(f"loss_{name}"))
        if golden.has(f"grad_{name}") and student.grad is not None:
            comparison.add("grad", f"grad_{name}", student.grad, golden.reference(f"grad_{name}"))
    name = "loss_ae_mse_l1sum"
    if golden.has(name):
        decoded, feature = golden.input("ae_reconstruction"), golden.input("ae_input")
        weight = golden.meta.get("alpha", SPARSITY_WEIGHT)
        loss = reconstruction(decoded, feature) + weight * code_size(code)
        comparison.add("loss", name, loss, golden.reference(name))
    return comparison
