"""The Triton kernel without a GPU: `test_contrast_triton.py` has this file run under TRITON_INTERPRET=1.

Triton reads that variable when it is imported, so these are tests of a process of their own.
"""

import pytest
import torch
from hypothesis import example, given, settings

from distill.losses.contrast import omni_contrast
from distill.losses.contrasting import demanding, triton_tiles
from tests.distill.backend_cases import check, problems
from tests.distill.contrast_cases import PUBLISHED, gradient, pair

FIXED = {
    "images": 2,
    "groups": 3,
    "row_channels": 5,
    "patch": (2, 3),
    "patches": (2, 1),
    "temperature": 0.5,
    "negatives": "cross_group",
    "distance": "l1",
    "normalisation": "published",
    "maps": "ties",
    "layouts": ("channels_last", "every other column"),
    "dtypes": (torch.bfloat16, torch.float32),
    "seed": 0,
}


@settings(max_examples=8, deadline=None, derandomize=True)
@given(problem=problems)
@example(problem=FIXED)
@example(problem=FIXED | {"distance": "l2", "negatives": "all", "maps": "saturated"})
def test_agrees_with_the_definition_in_float64(problem):
    check("triton", problem, with_teacher=False)


@pytest.mark.parametrize(("distance", "negatives"), [("l1", "cross_group"), ("l2", "all")])
def test_a_patch_of_several_blocks_is_one_patch(monkeypatch, distance, negatives):
    monkeypatch.setattr(triton_tiles, "BLOCK_TEACHER", 16)
    monkeypatch.setattr(triton_tiles, "BLOCK_DISTANCES", 256)
    many = {"groups": 4, "patch": (3, 4), "patches": (1, 1), "row_channels": 2, "images": 1}
    check("triton", FIXED | many | {"distance": distance, "negatives": negatives}, with_teacher=False)


@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_the_gradient_is_the_numerical_one(distance):
    apart = 0.1
    student, teacher = (torch.round(4 * maps) / 4 for maps in pair(1, 2, 1, 2, dtype=torch.float32))
    options = PUBLISHED | {"groups": 2, "patch": (1, 2), "temperature": 2.0, "distance": distance}
    with demanding("triton"):
        assert torch.autograd.gradcheck(
            lambda s: omni_contrast(s, teacher, **options),
            (student + apart).requires_grad_(),
            eps=apart / 5,
            atol=2e-3,
            rtol=0.0,
        )


def test_long_rows_keep_five_digits():
    student, teacher = pair(1, 512, 2, 2, dtype=torch.float32)
    options = {"groups": 4, "patch": (2, 2), "temperature": 0.07}
    exact, _ = gradient(lambda s, t: omni_contrast(s, t, **options), student.double(), teacher.double())
    student.requires_grad_()
    with demanding("triton"):
        (ours,) = torch.autograd.grad(omni_contrast(student, teacher, **options), student)
    assert float((ours.double() - exact).norm() / exact.norm()) < 1e-5


def test_what_is_not_a_number_stays_visible():
    student, teacher = pair(1, 8, 2, 2, dtype=torch.float32)
    student[0, 3, 1, 1] = torch.nan
    with demanding("triton"):
        assert omni_contrast(student, teacher, **PUBLISHED).isnan()


def test_a_value_without_a_gradient_is_the_same():
    maps = pair(1, 8, 2, 4, dtype=torch.float32)
    with demanding("triton"):
        with torch.no_grad():
            alone = omni_contrast(*maps, **PUBLISHED)
        assert torch.equal(alone, omni_contrast(maps[0].requires_grad_(), maps[1], **PUBLISHED).detach())
