"""Files of kind `full_feature_losses`: student map -> align, mask, generator -> imitation and contrast."""

import torch
from torch import Tensor, nn

from distill.losses.imitation import imitation
from distill.methods.generator import EnhancedGenerator, PlainGenerator
from distill.methods.masks import centre_mask, random_mask
from distill.methods.student_path import StudentPath
from distill.replay.comparison import Comparison
from distill.replay.contrast import contrast_tolerances, published_contrast
from distill.replay.golden import Golden, GoldenError

PARAMETERS = {
    "align_": "align.",
    "projector_block_1_0_": "generator.first.",
    "projector_block_2_0_": "generator.second.",
    "projector_adapter_1_": "generator.from_first.",
    "projector_adapter_2_": "generator.from_second.",
    "projector_0_": "generator.0.",
    "projector_2_": "generator.2.",
}
"""Layer in the file -> layer of `StudentPath`."""


def replay_features(golden: Golden) -> Comparison:
    """Both losses, and the gradient of each with respect to the student map and every parameter on file."""
    teacher = golden.input("teacher")
    path = _student_path(golden)
    comparison = Comparison(contrast_tolerances(golden.dtype))
    for term in ("fd", "ctr"):
        if not golden.has(f"loss_{term}"):
            continue
        student = golden.input("student", requires_grad=True)
        generated = _generated(golden, path, student, teacher)
        if term == "fd":
            loss = imitation(generated, teacher)
        else:
            loss = published_contrast(golden, generated, teacher)
        path.zero_grad()
        torch.autograd.backward(loss)
        comparison.add("loss", f"loss_{term}", loss, golden.reference(f"loss_{term}"))
        if golden.has(f"grad_student_{term}"):
            name = f"grad_student_{term}"
            comparison.add("grad", name, _gradient(student), golden.reference(name))
        for stored in golden.names(f"grad_{term}__"):
            name = f"grad_{term}__{stored}"
            parameter = path.get_parameter(_parameter(stored))
            comparison.add("grad", name, _gradient(parameter), golden.reference(name))
    return comparison


def _generated(golden: Golden, path: StudentPath, student: Tensor, teacher: Tensor) -> Tensor:
    grid = (teacher.shape[2], teacher.shape[3])
    generated: Tensor = path(student, _mask(golden, grid), covers=grid, grid=grid, grid_covers=grid)
    return generated


def _mask(golden: Golden, grid: tuple[int, int]) -> Tensor | None:
    """The stored mask, after a check that our own rule gives the same."""
    if "mask" not in golden.arrays:
        return None
    mask = golden.input("mask")
    if "uniform" in golden.arrays:
        ours = random_mask(golden.raw("uniform"), golden.meta["mask_ratio"])
    elif golden.meta.get("random_mask") is False and not mask.all():
        ours = centre_mask(*grid, device=golden.device)
    else:
        return mask
    if not torch.equal(ours.to(golden.dtype).expand_as(mask), mask):
        raise GoldenError(f"our mask differs from the stored one in {int((ours != mask).sum())} pixels.")
    return mask


def _student_path(golden: Golden) -> StudentPath:
    """Its layers and their widths are read off the stored weights; what has none there is left out."""
    weights = {_parameter(name): golden.input(f"w__{name}") for name in golden.names("w__")}
    align: nn.Module = nn.Identity()
    if "align.weight" in weights:
        width, student_width = weights["align.weight"].shape[:2]
        align = nn.Conv2d(student_width, width, kernel_size=1, bias="align.bias" in weights)
    generator: nn.Module = nn.Identity()
    for first_layer, kind in (
        ("generator.0.weight", PlainGenerator),
        ("generator.first.weight", EnhancedGenerator),
    ):
        if first_layer in weights:
            generator = kind(weights[first_layer].shape[0])
    path = StudentPath(align, generator).to(golden.device, golden.dtype)
    path.load_state_dict(weights)
    return path


def _parameter(stored: str) -> str:
    """`projector_0_bias` -> `generator.0.bias`."""
    for prefix, layer in PARAMETERS.items():
        if stored.startswith(prefix):
            return layer + stored.removeprefix(prefix)
    raise GoldenError(f"unknown parameter {stored!r}. Known layers: {', '.join(PARAMETERS)}.")


def _gradient(tensor: Tensor) -> Tensor:
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
