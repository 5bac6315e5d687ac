"""Omni-contrasting against its definition, its invariances, and what it does at the edges."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.baselines.omni_contrast import omni_contrast_published
from distill.losses.contrast import omni_contrast
from distill.losses.contrasting import torch_blocks
from modelpack.errors import SettingsError, ShapeError
from tests.distill.contrast_cases import EXACT, PUBLISHED, gradient, pair


@settings(max_examples=40, deadline=None)
@given(
    images=st.integers(1, 3),
    groups=st.integers(1, 5),
    width=st.integers(1, 4),
    patch=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    patches=st.tuples(st.integers(1, 3), st.integers(1, 2)),
    temperature=st.floats(0.05, 4.0),
    negatives=st.sampled_from(["cross_group", "all"]),
    distance=st.sampled_from(["l1", "l2"]),
)
def test_agrees_with_the_definition(
    *, images, groups, width, patch, patches, temperature, negatives, distance
):
    maps = pair(images, groups * width, patch[0] * patches[0], patch[1] * patches[1])
    options = {
        "groups": groups,
        "patch": patch,
        "temperature": temperature,
        "negatives": negatives,
        "distance": distance,
    }
    ours = omni_contrast(*maps, **options)
    torch.testing.assert_close(ours, omni_contrast_published(*maps, **options), rtol=EXACT, atol=EXACT)
    for got, expected in zip(
        gradient(lambda s, t: omni_contrast(s, t, **options), *maps),
        gradient(lambda s, t: omni_contrast_published(s, t, **options), *maps),
        strict=True,
    ):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("block_elements", [1, 7, 100, 10_000])
def test_does_not_depend_on_how_the_work_is_cut_into_blocks(monkeypatch, block_elements):
    maps = pair(2, 8, 4, 6)

    def loss_of(student, teacher):
        return omni_contrast(student, teacher, **PUBLISHED)

    expected = loss_of(*maps), *gradient(loss_of, *maps)
    monkeypatch.setitem(torch_blocks._BLOCK_ELEMENTS, "cpu", block_elements)
    for got, whole in zip((loss_of(*maps), *gradient(loss_of, *maps)), expected, strict=True):
        torch.testing.assert_close(got, whole, rtol=EXACT, atol=EXACT)


@pytest.mark.parametrize("normalisation", ["published", "per_element"])
@pytest.mark.parametrize("distance", ["l1", "l2"])
@pytest.mark.parametrize("negatives", ["cross_group", "all"])
def test_gradient_of_the_student_is_the_numerical_one(normalisation, distance, negatives):
    student, teacher = pair(2, 4, 2, 4)
    options = {
        "groups": 2,
        "patch": (2, 2),
        "temperature": 0.7,
        "negatives": negatives,
        "distance": distance,
        "normalisation": normalisation,
    }
    assert torch.autograd.gradcheck(lambda s: omni_contrast(s, teacher, **options), student.requires_grad_())


@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_gradient_of_the_teacher_is_the_numerical_one(distance):
    student, teacher = pair(1, 4, 2, 4)
    assert torch.autograd.gradcheck(
        lambda t: omni_contrast(student, t, distance=distance, **PUBLISHED | {"groups": 2}),
        teacher.requires_grad_(),
    )


def test_only_a_teacher_that_asks_for_it_receives_a_gradient():
    student, teacher = pair(1, 8, 4, 4)
    omni_contrast(student.requires_grad_(), teacher, **PUBLISHED).backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


@pytest.mark.parametrize("distance", ["l1", "l2"])
@pytest.mark.parametrize("negatives", ["cross_group", "all"])
def test_is_zero_for_equal_maps_whose_rows_are_far_apart(distance, negatives):
    _, teacher = pair(2, 8, 4, 4)
    far = (1000 * teacher).requires_grad_()
    loss = omni_contrast(far, far.detach(), distance=distance, negatives=negatives, **PUBLISHED)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert far.grad.abs().max() < 1e-12


@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_equal_values_have_gradient_zero(distance):
    student = torch.ones(1, 8, 4, 4, dtype=torch.float64, requires_grad=True)
    loss = omni_contrast(student, torch.ones_like(student), distance=distance, **PUBLISHED)
    loss.backward()
    assert student.grad.abs().max() == 0
    rows_of_others = 4 * 3
    assert loss.item() == pytest.approx(4 * torch.tensor(1.0 + rows_of_others).log().item())


def test_without_negatives_the_loss_is_zero():
    student, teacher = pair(1, 8, 4, 4)
    loss = omni_contrast(student.requires_grad_(), teacher, groups=1, patch=(4, 4), temperature=0.1)
    loss.backward()
    assert loss.item() == 0
    assert student.grad.abs().max() == 0


def test_is_never_negative_where_single_precision_cancels():
    student, teacher = pair(2, 32, 8, 8, dtype=torch.float32)
    for scale in (1e-3, 1.0, 1e3):
        loss = omni_contrast(
            teacher + 1e-4 * student, scale * teacher, groups=4, patch=(4, 4), temperature=0.07
        )
        assert loss.item() >= 0


def test_channel_contrasting_is_a_patch_of_one_pixel():
    student, teacher = pair(1, 6, 2, 3)
    ours = omni_contrast(student, teacher, groups=3, patch=(1, 1), temperature=0.5)
    total = 0.0
    for y in range(2):
        for x in range(3):
            vectors = [m[0, :, y, x].view(3, 2) for m in (student, teacher)]
            similarity = -torch.stack([(row - vectors[1]).abs().sum(1) for row in vectors[0]]) / 0.5
            total += torch.nn.functional.cross_entropy(similarity, torch.arange(3), reduction="sum").item()
    assert ours.item() == pytest.approx(total / 6, rel=EXACT)


def test_spatial_contrasting_is_one_group_against_all_pixels():
    student, teacher = pair(1, 6, 2, 3)
    ours = omni_contrast(student, teacher, groups=1, patch=(2, 3), temperature=0.5, negatives="all")
    vectors = [m[0].flatten(1).t() for m in (student, teacher)]
    similarity = -torch.stack([(row - vectors[1]).abs().sum(1) for row in vectors[0]]) / 0.5
    expected = torch.nn.functional.cross_entropy(similarity, torch.arange(6), reduction="sum") / 6
    assert ours.item() == pytest.approx(expected.item(), rel=EXACT)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_of_any_size_gives_a_finite_float32(dtype):
    student, teacher = pair(1, 64, 4, 4, dtype=torch.float32)
    limit = torch.finfo(torch.float16).max
    student, teacher = ((limit * m.sign()).to(dtype) for m in (student, teacher))
    student.requires_grad_()
    loss = omni_contrast(student, teacher, groups=4, patch=(4, 4), temperature=0.07)
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert torch.isfinite(student.grad).all()


def test_autocast_around_it_changes_nothing():
    maps = pair(1, 8, 4, 4, dtype=torch.float32)
    plain = omni_contrast(*maps, **PUBLISHED)
    with torch.autocast("cpu", torch.bfloat16):
        inside = omni_contrast(*maps, **PUBLISHED)
    assert torch.equal(plain, inside)


def test_keeps_nothing_but_one_gradient_until_the_backward_pass():
    student, teacher = pair(4, 64, 16, 16, dtype=torch.float32)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        omni_contrast(student.requires_grad_(), teacher, groups=16, patch=(4, 4), temperature=0.07)
    assert 0 < sum(t.numel() for t in kept) <= student.numel() + 16


def test_computes_no_gradient_where_none_can_be_asked_for(monkeypatch):
    student, teacher = pair(1, 8, 4, 4)
    monkeypatch.setattr(torch_blocks._Block, "add_gradients", lambda *_: pytest.fail("took a gradient"))
    with torch.no_grad():
        omni_contrast(student.requires_grad_(), teacher, **PUBLISHED)


def test_unequal_shapes_are_named():
    student, teacher = pair(1, 8, 4, 4)
    with pytest.raises(ShapeError, match=r"student \(1, 8, 4, 4\) and teacher \(1, 8, 4, 2\)"):
        omni_contrast(student, teacher[..., :2], **PUBLISHED)


def test_groups_that_do_not_divide_name_those_that_do():
    student, teacher = pair(1, 8, 4, 4)
    with pytest.raises(ShapeError, match=r"3 groups do not divide 8 channels.*1, 2, 4, 8\."):
        omni_contrast(student, teacher, **PUBLISHED | {"groups": 3})


def test_a_patch_that_does_not_divide_is_named():
    student, teacher = pair(1, 8, 4, 5)
    with pytest.raises(ShapeError, match=r"patch width 2 does not divide the map's width 5"):
        omni_contrast(student, teacher, **PUBLISHED)


def test_temperature_must_be_positive():
    with pytest.raises(SettingsError, match="temperature is 0"):
        omni_contrast(*pair(1, 8, 4, 4), **PUBLISHED | {"temperature": 0})
