"""Random problems for the backends of omni-contrasting, and what the definition says in float64."""

from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from distill.losses.contrast import omni_contrast
from distill.losses.contrasting import demanding
from distill.step_bench.formulations import omni_contrast_as_published

ROUNDING = 2.0**-24
"""Of a float32, relative."""

MAPS = {
    "noise": lambda student, teacher: (student, teacher),
    "ties": lambda student, teacher: ((2 * student).round() / 2, (2 * teacher).round() / 2),
    "equal": lambda student, teacher: (teacher, teacher),
    "near the teacher": lambda student, teacher: (teacher + 0.01 * student, teacher),
    "saturated": lambda student, teacher: (100 * student, 100 * teacher),
}
LAYOUTS = {
    "contiguous": lambda maps: maps,
    "channels_last": lambda maps: maps.contiguous(memory_format=torch.channels_last),
    "every other column": lambda maps: maps.repeat_interleave(2, dim=3)[..., ::2],
    "transposed": lambda maps: maps.transpose(2, 3).contiguous().transpose(2, 3),
}

problems = st.fixed_dictionaries(
    {
        "images": st.integers(1, 2),
        "groups": st.integers(1, 4),
        "row_channels": st.integers(1, 9),
        "patch": st.tuples(st.integers(1, 2), st.integers(1, 3)),
        "patches": st.tuples(st.integers(1, 2), st.integers(1, 2)),
        "temperature": st.floats(0.05, 4.0),
        "negatives": st.sampled_from(["cross_group", "all"]),
        "distance": st.sampled_from(["l1", "l2"]),
        "normalisation": st.sampled_from(["published", "per_element"]),
        "maps": st.sampled_from(sorted(MAPS)),
        "layouts": st.tuples(*[st.sampled_from(sorted(LAYOUTS))] * 2),
        "dtypes": st.tuples(*[st.sampled_from([torch.float32, torch.bfloat16, torch.float16])] * 2),
        "seed": st.integers(0, 99),
    }
)


def check(backend: str, problem: dict[str, Any], device: str = "cpu", *, with_teacher: bool = True) -> None:
    """Value and gradients of a backend against the definition in float64, on the very same numbers."""
    problem = dict(problem)
    student, teacher = _maps(problem, device)
    options = {name: problem[name] for name in OPTIONS}
    exact = _value_and_gradients(omni_contrast_as_published, student.double(), teacher.double(), options)
    with demanding(backend):
        got = _value_and_gradients(omni_contrast, student, teacher, options, with_teacher=with_teacher)
    # A logit's error: its distance, rounded a few times, over the temperature. Gradients follow logits.
    largest = max(float(maps.double().abs().max()) for maps in (student, teacher))
    logit_error = 8 * ROUNDING * (1 + 2 * problem["row_channels"] * largest / problem["temperature"])
    slope = float(exact[1].abs().max()) + 1 / (problem["temperature"] * student.numel())
    bounds = problem["groups"] * logit_error, slope * logit_error, slope * logit_error
    for ours, theirs, bound in zip(got, exact, bounds, strict=False):
        narrow = torch.finfo(ours.dtype).eps if ours.dtype != torch.float32 else 1e-5
        torch.testing.assert_close(ours.double(), theirs, rtol=narrow, atol=max(bound, 1e-7))


OPTIONS = ("groups", "patch", "temperature", "negatives", "distance", "normalisation")


def _maps(problem: dict[str, Any], device: str) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(problem["seed"])
    (height, width), (down, across) = problem["patch"], problem["patches"]
    channels = problem["groups"] * problem["row_channels"]
    noise = torch.randn(2, problem["images"], channels, height * down, width * across, generator=generator)
    pair = MAPS[problem["maps"]](*noise)
    student, teacher = (
        LAYOUTS[layout](maps.to(device, dtype))
        for maps, layout, dtype in zip(pair, problem["layouts"], problem["dtypes"], strict=True)
    )
    return student, teacher


def _value_and_gradients(
    loss: Any, student: Tensor, teacher: Tensor, options: dict[str, Any], *, with_teacher: bool = True
) -> list[Tensor]:
    student = student.detach().requires_grad_()
    teacher = teacher.detach().requires_grad_(with_teacher)
    value = loss(student, teacher, **options)
    return [value.detach(), *torch.autograd.grad(value, [student, teacher] if with_teacher else [student])]
