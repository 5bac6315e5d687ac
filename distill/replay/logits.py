"""Files of kind `logit_losses`: logit distillation, task loss, and the accuracy of the upsampled logits."""

import numpy as np
import torch
from torch import Tensor

from distill.losses.logits import logit_kd
from distill.losses.task import cross_entropy
from distill.networks.output import upsample
from distill.replay.comparison import Comparison, tolerances
from distill.replay.golden import Golden
from modelpack.metrics import ConfusionMatrix

ABSENT_CLASS_LOGIT = -50.0
"""For the metric the file lowers the last class to this, so that one class is never predicted."""


def replay_logits(golden: Golden) -> Comparison:
    """`kd_T<t>` for every temperature; `task_main`, `task_aux` and their weighted sum; all gradients."""
    comparison = Comparison(tolerances(golden.dtype, float64=(1e-10, 1e-9), float32=(1e-4, 1e-4)))
    _add_kd(golden, comparison)
    _add_task(golden, comparison)
    return comparison


def replay_metrics(golden: Golden) -> Comparison | None:
    """Prediction, intersections and unions, mIoU with absent classes as 0, and both pixel accuracies."""
    if not golden.has("metric_pred"):
        return None
    comparison = Comparison({"output": 1e-10 if golden.dtype == torch.float64 else 1e-4})
    logits = golden.input("logits_student")
    logits[:, -1] = ABSENT_CLASS_LOGIT
    labels = golden.raw("metric_labels").cpu().numpy()
    ignore = golden.meta.get("ignore", -1)
    size = (labels.shape[1], labels.shape[2])
    full = upsample(logits, size, size)
    prediction = full.argmax(dim=1).cpu().numpy()
    matrix = ConfusionMatrix(logits.shape[1])
    matrix.update(prediction, labels, ignore)
    # The published accuracy cuts the logits to integers first (towards zero; ties go to the lowest class).
    truncated = full.trunc().cpu().numpy().argmax(axis=1)
    defective = ConfusionMatrix(logits.shape[1])
    defective.update(truncated, labels, ignore)
    intersection = matrix.counts.diagonal()
    expected = {
        "metric_pred": prediction,
        "metric_inter": intersection,
        "metric_union": matrix.counts.sum(0) + matrix.counts.sum(1) - intersection,
        "metric_pixacc_correct": np.asarray(matrix.pixel_accuracy()),
        "metric_pixacc_authors": np.asarray(defective.pixel_accuracy()),
        "metric_miou_authors": np.asarray(matrix.miou("zero")),
    }
    for name, value in expected.items():
        if golden.has(name):
            reference = golden.reference(name)
            # The authors' mean was taken in single precision, though kept in double.
            exact = name != "metric_miou_authors"
            comparison.add("output", name, value, reference if exact else reference.astype(np.float32))
    return comparison


def _add_kd(golden: Golden, comparison: Comparison) -> None:
    teacher = golden.input("logits_teacher")
    for temperature in golden.names("kd_T"):
        name = f"kd_T{temperature}"
        student = golden.input("logits_student", requires_grad=True)
        loss = logit_kd(student, teacher, temperature=float(temperature.replace("p", ".")))
        comparison.add("loss", name, loss, golden.reference(name))
        if golden.has(f"grad_{name}"):
            torch.autograd.backward(loss)
            comparison.add("grad", f"grad_{name}", _gradient(student), golden.reference(f"grad_{name}"))


def _add_task(golden: Golden, comparison: Comparison) -> None:
    """The gradients on file are those of the weighted sum of both heads."""
    labels = golden.raw("labels")
    ignore = golden.meta.get("ignore", -1)
    student = golden.input("logits_student", requires_grad=True)
    main = cross_entropy(student, labels, ignore=ignore)
    losses, logits, total = {"task_main": main}, {"grad_task_main": student}, main
    if "logits_aux" in golden.arrays:
        auxiliary = golden.input("logits_aux", requires_grad=True)
        aux = cross_entropy(auxiliary, labels, ignore=ignore)
        total = main + golden.meta.get("aux_weight", 0.4) * aux
        losses["task_aux"] = aux
        logits["grad_task_aux"] = auxiliary
    losses["task_total"] = total
    torch.autograd.backward(total)
    for name, loss in losses.items():
        if golden.has(name):
            comparison.add("loss", name, loss, golden.reference(name))
    for name, maps in logits.items():
        if golden.has(name):
            comparison.add("grad", name, _gradient(maps), golden.reference(name))


def _gradient(tensor: Tensor) -> Tensor:
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
