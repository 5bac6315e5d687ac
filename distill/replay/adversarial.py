"""Files of method `skd` with parts of the adversarial term: scores, penalty, spectral norm, attention."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill.losses.adversarial import AdversarialLoss, deceiving_loss, gradient_penalty, telling_loss
from distill.methods.discriminator import SelfAttention, SpectralConv
from distill.replay.comparison import Comparison, tolerances
from distill.replay.golden import Golden

LOSSES: tuple[AdversarialLoss, ...] = ("hinge", "wgan_gp")


def replay_adversarial(golden: Golden) -> Comparison:
    """Whatever of the four parts the file holds."""
    parts = {
        "d_score_student": _add_scores,
        "gp_student_logits": _add_penalty,
        "sn_x": _add_spectral_norm,
        "attn_x": _add_attention,
    }
    errors = tolerances(golden.dtype, float64=(1e-10, 1e-9), float32=(1e-4, 1e-4))
    comparison = Comparison(errors | {"output": errors["loss"]})
    for array, add in parts.items():
        if array in golden.arrays:
            add(golden, comparison)
    return comparison


def _add_scores(golden: Golden, comparison: Comparison) -> None:
    """Both sides' losses in both forms; gradients of the discriminator's."""
    for loss in LOSSES:
        student = golden.input("d_score_student", requires_grad=True)
        teacher = golden.input("d_score_teacher", requires_grad=True)
        if golden.has(f"loss_g_{loss}"):
            value = deceiving_loss(student)
            comparison.add("loss", f"loss_g_{loss}", value, golden.reference(f"loss_g_{loss}"))
        if golden.has(f"loss_d_{loss}"):
            value = telling_loss(student, teacher, loss=loss)
            comparison.add("loss", f"loss_d_{loss}", value, golden.reference(f"loss_d_{loss}"))
            names = (f"grad_score_student_d_{loss}", f"grad_score_teacher_d_{loss}")
            _add_gradients(golden, comparison, names, value, (student, teacher))


def _add_penalty(golden: Golden, comparison: Comparison) -> None:
    """With the file's own critic: convolution, tanh, convolution."""
    first, second = golden.input("gp_w1", requires_grad=True), golden.input("gp_w2", requires_grad=True)
    penalty = gradient_penalty(
        golden.input("gp_student_logits"),
        golden.input("gp_teacher_logits"),
        golden.input("gp_alpha"),
        lambda maps: F.conv2d(F.conv2d(maps, first, stride=2, padding=1).tanh(), second),
    )
    loss = golden.meta.get("lambda_gp", 10.0) * penalty
    comparison.add("loss", "loss_gp", loss, golden.reference("loss_gp"))
    _add_gradients(golden, comparison, ("grad_gp_w1", "grad_gp_w2"), loss, (first, second))


def _add_spectral_norm(golden: Golden, comparison: Comparison) -> None:
    """The weight in use, u and v after it, the output, and gradients of the sum of its squares."""
    maps, weight = golden.input("sn_x", requires_grad=True), golden.input("sn_weight_bar")
    layer = SpectralConv(weight.shape[1], weight.shape[0]).to(golden.device, golden.dtype)
    state = {"weight": weight, **{name: golden.input(f"sn_{name}") for name in ("bias", "u", "v")}}
    layer.load_state_dict(state)
    if golden.has("sn_weight_effective"):
        effective = layer.next_weight()
        comparison.add("output", "sn_weight_effective", effective, golden.reference("sn_weight_effective"))
        layer.load_state_dict(state)
    output = layer(maps)
    for name, value in {"sn_out": output, "sn_u_after": layer.u, "sn_v_after": layer.v}.items():
        if golden.has(name):
            comparison.add("output", name, value, golden.reference(name))
    names = ("sn_grad_weight_bar", "sn_grad_x")
    _add_gradients(golden, comparison, names, output.square().sum(), (layer.weight, maps))


def _add_attention(golden: Golden, comparison: Comparison) -> None:
    """Attention, output, and the gradient of the sum of its squares."""
    maps = golden.input("attn_x", requires_grad=True)
    layer = SelfAttention(maps.shape[1])
    weights = {"gamma": golden.input("attn_gamma").reshape(())}
    for name, letter in {"query": "q", "key": "k", "value": "v"}.items():
        weights |= {
            f"{name}.weight": golden.input(f"attn_w{letter}"),
            f"{name}.bias": golden.input(f"attn_b{letter}"),
        }
        kernel = weights[f"{name}.weight"]
        setattr(layer, name, nn.Conv2d(kernel.shape[1], kernel.shape[0], kernel_size=1))
    layer.to(golden.device, golden.dtype).load_state_dict(weights)
    output = layer(maps)
    for name, value in {"attn_out": output, "attn_matrix": layer.attention(maps)}.items():
        if golden.has(name):
            comparison.add("output", name, value, golden.reference(name))
    _add_gradients(golden, comparison, ("attn_grad_x",), output.square().sum(), (maps,))


def _add_gradients(
    golden: Golden, comparison: Comparison, names: Sequence[str], loss: Tensor, inputs: Sequence[Tensor]
) -> None:
    for name, gradient in zip(names, torch.autograd.grad(loss, inputs, retain_graph=True), strict=True):
        if golden.has(name):
            comparison.add("grad", name, gradient, golden.reference(name))
