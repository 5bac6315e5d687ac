"""Step `losses`: omni-contrasting by each backend, and as published, in time, memory and error."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from afdcd.gpu.ceilings import COPY_BYTES, copy_gb_per_s
from afdcd.gpu.device import SHARE_OF_FREE_MEMORY
from afdcd.gpu.step import Context, Note
from afdcd.gpu.timing import interleaved_seconds, peak_bytes
from distill.baselines.omni_contrast import omni_contrast_published
from distill.losses.contrast import omni_contrast
from distill.losses.contrasting import demanding
from distill.step_bench.formulations import omni_contrast_as_published
from modelpack.errors import RuntimeUnavailableError

Loss = Callable[..., Tensor]


def by_backend(name: str) -> Loss:
    """Our loss, computed by this backend alone."""

    def loss(*maps: Tensor, **options: Any) -> Tensor:
        with demanding(name):
            return omni_contrast(*maps, **options)

    return loss


FORMULATIONS: dict[str, Loss] = {
    "triton": by_backend("triton"),
    "torch": by_backend("torch"),
    "published": omni_contrast_as_published,
}
PATCH = (4, 4)
GROUPS = 16
TEMPERATURE = 0.07
ROUNDS = 11


@dataclass(frozen=True)
class Case:
    """Feature maps as a published recipe hands them to the loss: stage 4, after pooling or cropping."""

    dataset: str
    images: int
    height: int
    width: int
    channels: int = 2048
    type: str = "float32"


CASES = [
    Case(dataset, images, height, width, type=name)
    for dataset, height, width in (("camvid", 44, 44), ("cityscapes", 16, 32))
    for images in (2, 16)
    for name in ("float32", "bfloat16")
]


def run(context: Context, note: Note) -> None:
    device = torch.device(context.device)
    copies = copy_gb_per_s(
        device, min(COPY_BYTES, torch.cuda.mem_get_info(device)[0] // SHARE_OF_FREE_MEMORY)
    )
    note("copy_gb_per_s", copies)
    rows: list[dict[str, Any]] = []
    for case in CASES:
        rows += compare(case, device, ROUNDS, copies)
        note("forward_and_backward", rows)


def compare(case: Case, device: torch.device, rounds: int, copies: float) -> list[dict[str, Any]]:
    """One row for each formulation; one that runs out of memory, or cannot run here, says so in its row.

    copies: gigabytes per second, read plus written, of a large copy. `limit_ms` is what it would take to read
    both maps and to write the gradient.
    """
    student, teacher = _maps(case, device)
    reference = float64_by_image(student, teacher)
    rows: dict[str, dict[str, Any]] = {}
    for name, loss in FORMULATIONS.items():
        rows[name] = {**vars(case), "formulation": name}
        try:
            rows[name]["peak_mib"] = _mib(peak_bytes(partial(backward, loss, student, teacher), device))
            rows[name] |= _errors(*backward(loss, student, teacher), *reference)
        except torch.OutOfMemoryError as error:
            rows[name]["out_of_memory"] = str(error).partition(". ")[0]
            torch.cuda.empty_cache()
        except RuntimeUnavailableError as error:
            rows[name]["unavailable"] = str(error)
    fitting = {
        name: partial(backward, loss, student, teacher)
        for name, loss in FORMULATIONS.items()
        if "grad_rel_err" in rows[name]
    }
    limit_s = sum(maps.nbytes for maps in (student, teacher, student)) / copies / 1e9
    for name, seconds in interleaved_seconds(fitting, device, rounds).items():
        rows[name] |= {
            "median_ms": 1000 * seconds,
            "limit_ms": 1000 * limit_s,
            "limit_share": limit_s / seconds,
        }
    return list(rows.values())


def backward(loss: Loss, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """The loss, and its gradient with respect to the student's map."""
    value = loss(student, teacher, groups=GROUPS, patch=PATCH, temperature=TEMPERATURE)
    (gradient,) = torch.autograd.grad(value, student)
    return value.detach(), gradient


def float64_by_image(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """The published formulation in float64, image by image to save memory: the loss is their mean."""
    values, gradients = [], []
    for image in range(len(student)):
        one = student.detach()[image : image + 1].double().requires_grad_(True)
        value, gradient = backward(omni_contrast_published, one, teacher[image : image + 1].double())
        values.append(value)
        gradients.append(gradient / len(student))
    return torch.stack(values).mean(), torch.cat(gradients)


def _maps(case: Case, device: torch.device) -> tuple[Tensor, Tensor]:
    """Non-negative like features after a ReLU; the student near the teacher, as it is after some training."""
    generator = torch.Generator().manual_seed(0)
    shape = (case.images, case.channels, case.height, case.width)
    teacher = torch.randn(shape, generator=generator).relu_()
    student = teacher + 0.1 * torch.randn(shape, generator=generator)
    dtype: torch.dtype = getattr(torch, case.type)
    return student.to(device, dtype).requires_grad_(True), teacher.to(device, dtype)


def _errors(loss: Tensor, gradient: Tensor, true_loss: Tensor, true_gradient: Tensor) -> dict[str, float]:
    """Relative, against float64."""
    return {
        "loss_rel_err": float((loss.double() - true_loss).abs() / true_loss.abs()),
        "grad_rel_err": float((gradient.double() - true_gradient).norm() / true_gradient.norm()),
    }


def _mib(size_bytes: int | None) -> float | None:
    return None if size_bytes is None else size_bytes / (1 << 20)
