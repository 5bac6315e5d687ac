"""What omni-contrasting must not depend on, and what `per_element` makes it independent of."""

import pytest
import torch

from distill.losses.contrast import omni_contrast
from tests.distill.contrast_cases import EXACT, PUBLISHED, gradient, pair


def test_permuting_the_groups_of_both_maps_changes_nothing():
    maps = pair(2, 12, 4, 4)
    order = torch.tensor([2, 0, 3, 1])
    permuted = [m.unflatten(1, (4, 3))[:, order].flatten(1, 2) for m in maps]
    torch.testing.assert_close(
        omni_contrast(*permuted, **PUBLISHED), omni_contrast(*maps, **PUBLISHED), rtol=EXACT, atol=0
    )


def test_permuting_the_pixels_of_every_patch_changes_nothing():
    maps = pair(2, 8, 4, 4)
    swapped = [m.unflatten(3, (2, 2)).flip(4).flatten(3) for m in maps]
    torch.testing.assert_close(
        omni_contrast(*swapped, **PUBLISHED), omni_contrast(*maps, **PUBLISHED), rtol=EXACT, atol=0
    )


def test_permuting_the_patches_changes_nothing():
    maps = pair(2, 8, 4, 6)
    rolled = [m.roll((2, 4), dims=(2, 3)) for m in maps]
    torch.testing.assert_close(
        omni_contrast(*rolled, **PUBLISHED), omni_contrast(*maps, **PUBLISHED), rtol=EXACT, atol=0
    )


def test_adding_a_constant_to_both_maps_changes_nothing():
    student, teacher = pair(2, 8, 4, 4)
    torch.testing.assert_close(
        omni_contrast(student + 3, teacher + 3, **PUBLISHED),
        omni_contrast(student, teacher, **PUBLISHED),
        rtol=EXACT,
        atol=0,
    )


@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_scaling_both_maps_and_the_temperature_changes_nothing(distance):
    student, teacher = pair(2, 8, 4, 4)
    torch.testing.assert_close(
        omni_contrast(5 * student, 5 * teacher, distance=distance, **PUBLISHED | {"temperature": 2.5}),
        omni_contrast(student, teacher, distance=distance, **PUBLISHED),
        rtol=EXACT,
        atol=0,
    )


@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_per_element_does_not_depend_on_the_scale_of_the_features(distance):
    student, teacher = pair(2, 8, 4, 4)
    options = PUBLISHED | {"distance": distance, "normalisation": "per_element"}
    torch.testing.assert_close(
        omni_contrast(100 * student, 100 * teacher, **options),
        omni_contrast(student, teacher, **options),
        rtol=EXACT,
        atol=0,
    )


@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_per_element_does_not_depend_on_the_width_of_a_row(distance):
    student, teacher = pair(2, 8, 4, 4)
    options = PUBLISHED | {"distance": distance, "normalisation": "per_element"}
    twice = [m.repeat_interleave(2, dim=1) for m in (student, teacher)]
    torch.testing.assert_close(
        omni_contrast(*twice, **options), omni_contrast(student, teacher, **options), rtol=EXACT, atol=0
    )


def test_per_element_is_the_published_loss_in_other_units():
    student, teacher = pair(1, 8, 4, 4)
    unit = (teacher - teacher.mean()).abs().mean() * 2  # D = 2 channels in a row
    published = omni_contrast(student, teacher, **PUBLISHED | {"temperature": float(0.5 * unit)})
    ours = omni_contrast(student, teacher, normalisation="per_element", **PUBLISHED)
    torch.testing.assert_close(ours, published / 4, rtol=EXACT, atol=0)


def test_per_element_gradient_of_a_batch_is_the_mean_over_its_shards():
    student, teacher = pair(4, 8, 4, 4)

    def loss_of(s, t):
        return omni_contrast(s, t, normalisation="per_element", **PUBLISHED)

    whole, _ = gradient(loss_of, student, teacher)
    shards = [gradient(loss_of, s, t)[0] / 2 for s, t in zip(student.chunk(2), teacher.chunk(2), strict=True)]
    torch.testing.assert_close(torch.cat(shards), whole, rtol=EXACT, atol=EXACT)


def test_per_element_survives_a_flat_teacher_map():
    student, _ = pair(2, 8, 4, 4, dtype=torch.float32)
    loss = omni_contrast(student, torch.zeros_like(student), normalisation="per_element", **PUBLISHED)
    assert torch.isfinite(loss)
