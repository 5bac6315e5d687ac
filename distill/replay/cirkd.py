"""Files of CIRKD: the mini-batch loss; the memory losses, and what the published code left in the memory."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from distill.losses.memory_relations import memory_relations
from distill.losses.pixel_relations import pixel_relations
from distill.losses.unit_vectors import unit_vectors
from distill.methods.cirkd import average_cells
from distill.methods.class_samples import ClassSamples, class_samples
from distill.methods.label_grid import labels_on_grid
from distill.methods.memory_bank import MemoryBank
from distill.methods.projection_head import ProjectionHead
from distill.replay.comparison import Comparison, tolerances
from distill.replay.golden import Golden, GoldenError
from modelpack.labels import IGNORE

POOLING = (2, 4)
"""Sides of windows for which `meta` may hold `avg_pool_<side>x<side>_ceil`."""

PARAMETERS = {
    "conv1": "0.weight",
    "bn_weight": "1.weight",
    "bn_bias": "1.bias",
    "conv2": "3.weight",
}
"""What follows `grad_<term>_` in the file -> parameter of `ProjectionHead`."""


def replay_pixel_relations(golden: Golden) -> Comparison:
    """Loss, and its gradient with respect to the student's map. All images of the file are one group."""
    comparison = Comparison(tolerances(golden.dtype, float64=(1e-10, 1e-9), float32=(1e-4, 1e-4)))
    pool = next((side for side in POOLING if golden.meta.get(f"avg_pool_{side}x{side}_ceil")), 1)
    student = golden.input("student_feat", requires_grad=True)
    loss = pixel_relations(
        average_cells(student, pool),
        average_cells(golden.input("teacher_feat"), pool),
        temperature=golden.meta["temperature"],
        group=len(student),
    )
    torch.autograd.backward(loss)
    assert student.grad is not None
    comparison.add("loss", "loss", loss, golden.reference("loss"))
    comparison.add("grad", "grad_student", student.grad, golden.reference("grad_student"))
    return comparison


def replay_memory_relations(golden: Golden) -> Comparison:
    """Both memories after the published enqueue, then both losses against them and all gradients."""
    loss, grad = (1e-10, 1e-9) if golden.dtype == torch.float64 else (1e-4, 1e-4)
    comparison = Comparison({"loss": loss, "grad": grad, "output": loss})
    student = golden.input("student_feat", requires_grad=True)
    taught = unit_vectors(golden.input("teacher_feat"))
    labels = _labels(golden, (taught.shape[2], taught.shape[3]))
    head = _head(golden)
    embedded = unit_vectors(head(student))
    samples = _samples(golden, taught, labels)
    pushed = {
        "pixel": (samples.pixels, samples.pixel_counts),
        "region": (samples.regions, samples.region_counts),
    }
    for term, (vectors, counts) in pushed.items():
        memory = _memory(golden, term)
        memory.push(vectors, counts)
        for name, ours in {"queue": memory.vectors, "ptr": memory.pointers}.items():
            comparison.add("output", f"{term}_{name}", ours, golden.reference(f"{term}_{name}_after"))
        loss_of_term = memory_relations(
            embedded,
            taught,
            memory.take(golden.raw(f"{term}_slots")),
            labels != IGNORE,
            temperature=golden.meta["contrast_temperature"],
            kd_temperature=golden.meta["contrast_kd_temperature"],
        )
        comparison.add("loss", f"loss_{term}", loss_of_term, golden.reference(f"loss_{term}"))
        inputs = {"student": student} | {name: head.get_parameter(ours) for name, ours in PARAMETERS.items()}
        gradients = torch.autograd.grad(loss_of_term, list(inputs.values()), retain_graph=True)
        for name, gradient in zip(inputs, gradients, strict=True):
            comparison.add("grad", f"grad_{term}_{name}", gradient, golden.reference(f"grad_{term}_{name}"))
    norm = head[1]
    assert isinstance(norm, nn.BatchNorm2d)
    for name, statistic in {"mean": norm.running_mean, "var": norm.running_var}.items():
        if golden.has(f"bn_running_{name}_after") and statistic is not None:
            stored = f"bn_running_{name}_after"
            comparison.add("output", stored, statistic, golden.reference(stored))
    return comparison


def _labels(golden: Golden, grid: tuple[int, int]) -> Tensor:
    """Nearest, the ignored ones marked as ours are."""
    target = golden.raw("target")
    marked = torch.where(target == golden.meta["ignore_label"], IGNORE, target)
    return labels_on_grid(marked, covers=(target.shape[1], target.shape[2]), grid=grid)


def _head(golden: Golden) -> ProjectionHead:
    """With the file's weights and fresh statistics, in training mode."""
    width, student_width = golden.input("conv1_weight").shape[:2]
    head = ProjectionHead(student_width, width).to(golden.device, golden.dtype)
    with torch.no_grad():
        for name, ours in PARAMETERS.items():
            stored = name if name.startswith("bn") else f"{name}_weight"
            head.get_parameter(ours).copy_(golden.input(stored))
    norm = head[1]
    assert isinstance(norm, nn.BatchNorm2d)
    norm.eps, norm.momentum = golden.meta["bn_eps"], golden.meta["bn_momentum"]
    return head


def _samples(golden: Golden, taught: Tensor, labels: Tensor) -> ClassSamples:
    """What the published code enqueues, by the permutations on file: one for each image and class present."""
    permutations: Iterator[Tensor] = iter(golden.raw("enqueue_perms").cpu().unbind())

    def permute(image: int, count: int) -> Tensor:
        row = next(permutations, None)
        if row is None:
            raise GoldenError(f"no permutation is left for {count} pixels of a class in image {image}.")
        return row[row >= 0]

    return class_samples(
        taught,
        labels,
        num_classes=golden.meta["num_classes"],
        most=golden.meta["enqueue_pixels_per_class_per_image"],
        enqueue="published",
        permute=permute,
    )


def _memory(golden: Golden, term: str) -> MemoryBank:
    before = golden.input(f"{term}_queue_before")
    memory = MemoryBank(*before.shape).to(golden.device)
    memory.vectors = before
    memory.pointers.copy_(golden.raw(f"{term}_ptr_before"))
    return memory
