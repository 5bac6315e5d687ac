"""Files of method `pcd`: both directions of the loss, the queue after the step, and the adapted head."""

import torch
from torch import Tensor, nn

from distill.losses.pixel_contrast import image_keys, pixel_contrast
from distill.pretrain.ring_queue import RingQueue
from distill.pretrain.spatial_adaptor import spatial_adaptor
from distill.replay.comparison import Comparison, tolerances
from distill.replay.golden import Golden
from distill.replay.loss import EXACT, ROUNDED


def replay_pcd(golden: Golden) -> Comparison:
    """Losses and gradients of both students; key, queue and place; the adapted head and the vector head."""
    outputs = {"output": (EXACT if golden.dtype == torch.float64 else ROUNDED)[0]}
    comparison = Comparison(tolerances(golden.dtype, float64=EXACT, float32=ROUNDED) | outputs)
    _add_losses(golden, comparison)
    _add_queue(golden, comparison)
    if "adaptor_x" in golden.arrays:
        _add_adaptor(golden, comparison)
    return comparison


def _add_losses(golden: Golden, comparison: Comparison) -> None:
    queue, temperature = golden.input("queue_before"), golden.meta["temperature"]
    students = {name: golden.input(name, requires_grad=True) for name in ("student1", "student2")}
    first = pixel_contrast(students["student1"], golden.input("teacher2"), queue, temperature=temperature)
    second = pixel_contrast(students["student2"], golden.input("teacher1"), queue, temperature=temperature)
    loss = (first + second) / 2
    torch.autograd.backward(loss)
    for name, value in {"loss_s1_t2": first, "loss_s2_t1": second, "loss": loss}.items():
        if golden.has(name):
            comparison.add("loss", name, value, golden.reference(name))
    for name, student in students.items():
        if golden.has(f"grad_{name}") and student.grad is not None:
            comparison.add("grad", f"grad_{name}", student.grad, golden.reference(f"grad_{name}"))


def _add_queue(golden: Golden, comparison: Comparison) -> None:
    before = golden.input("queue_before")
    queue = RingQueue(*before.shape).to(before.device, before.dtype)
    queue.vectors.copy_(before)
    queue.place.copy_(golden.raw("ptr_before"))
    key = image_keys(golden.input("teacher1"))
    queue.enqueue(key)
    for name, value in {"key": key, "queue_after": queue.vectors, "ptr_after": queue.place}.items():
        if golden.has(name):
            comparison.add("output", name, value, golden.reference(name))


def _add_adaptor(golden: Golden, comparison: Comparison) -> None:
    maps, head = golden.input("adaptor_x"), _vector_head(golden)
    with torch.no_grad():
        adapted = spatial_adaptor(head)(maps)
        vectors = head(maps.mean(dim=(2, 3)))
    for name, value in {"adaptor_out": adapted, "adaptor_vector_out": vectors}.items():
        if golden.has(name):
            comparison.add("output", name, value, golden.reference(name))
    if golden.has("adaptor_vector_out"):
        mean, reference = adapted.mean(dim=(2, 3)), golden.reference("adaptor_vector_out")
        comparison.add("output", "mean of adaptor_out", mean, reference)


def _vector_head(golden: Golden) -> nn.Sequential:
    """Linear, BatchNorm1d, ReLU, Linear in evaluation mode; weights (out, in), no biases."""
    first, last = golden.input("adaptor_w1"), golden.input("adaptor_w2")
    norm: dict[str, Tensor] = {
        "weight": golden.input("adaptor_bn_weight"),
        "bias": golden.input("adaptor_bn_bias"),
        "running_mean": golden.input("adaptor_bn_mean"),
        "running_var": golden.input("adaptor_bn_var"),
    }
    head = nn.Sequential(
        nn.Linear(first.shape[1], first.shape[0], bias=False),
        nn.BatchNorm1d(first.shape[0], eps=golden.meta.get("bn_eps", 1e-5)),
        nn.ReLU(),
        nn.Linear(last.shape[1], last.shape[0], bias=False),
    ).to(golden.device, golden.dtype)
    state = {"0.weight": first, "3.weight": last} | {f"1.{name}": value for name, value in norm.items()}
    head.load_state_dict(state, strict=False)
    return head.eval()
