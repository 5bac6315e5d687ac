"""Intra-class feature variation: the loss, labels on a feature's grid, and the method around both."""

import math

import pytest
import torch
from torch import Tensor

from distill.losses.intra_class import intra_class_variation
from distill.methods import METHODS
from distill.methods.label_grid import labels_on_grid
from modelpack.errors import ShapeError
from tests.distill.feature_pairs import CLASSES, built, noise, output_of, terms_of

EXACT = 1e-9
"""float64, relative; wide enough for the authors' 1e-6 in a mean's divisor to be seen, not for rounding."""
IGNORED = 255


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    """Maps of different widths."""
    return noise(2, 3, 4, 5, seed=1) + 0.5, 2 * noise(2, 6, 4, 5, seed=2) + 1


@pytest.fixture
def labels() -> Tensor:
    """Class 3 nowhere, class 2 in the second image only; some pixels ignored."""
    drawn = torch.randint(0, 3, (2, 4, 5), generator=torch.Generator().manual_seed(0))
    drawn[0][drawn[0] == 2] = IGNORED
    return drawn


def cosines_by_loop(image: Tensor, labels: Tensor) -> list[float]:
    """Of every pixel of a map (C, H, W) with the mean of its class's pixels; 1 for ignored pixels."""
    pixels, classes = image.flatten(1).T.tolist(), labels.flatten().tolist()
    cosines = []
    for pixel, own in zip(pixels, classes, strict=True):
        members = [other for other, its in zip(pixels, classes, strict=True) if its == own]
        centre = [sum(values) / (len(members) + 1e-6) for values in zip(*members, strict=True)]
        product = sum(a * b for a, b in zip(pixel, centre, strict=True))
        cosines.append(1.0 if own == IGNORED else product / (math.hypot(*pixel) * math.hypot(*centre)))
    return cosines


def test_agrees_with_the_formula_pixel_by_pixel(pair, labels):
    errors = [
        (s - t) ** 2
        for student, teacher, own in zip(*pair, labels, strict=True)
        for s, t in zip(cosines_by_loop(student, own), cosines_by_loop(teacher, own), strict=True)
    ]
    got = intra_class_variation(*pair, labels, num_classes=CLASSES)
    assert got.item() == pytest.approx(sum(errors) / len(errors), rel=EXACT)


def test_gradient_is_the_numerical_one_also_through_the_centres(pair, labels):
    assert torch.autograd.gradcheck(
        lambda s: intra_class_variation(s, pair[1], labels, num_classes=CLASSES), pair[0].requires_grad_()
    )


def test_centres_belong_to_one_image_each(pair, labels):
    images = [
        intra_class_variation(*(m[i : i + 1] for m in (*pair, labels)), num_classes=CLASSES) for i in (0, 1)
    ]
    whole = intra_class_variation(*pair, labels, num_classes=CLASSES)
    torch.testing.assert_close(whole, sum(images) / 2, rtol=1e-12, atol=0)


@pytest.mark.parametrize("outside", [-1, CLASSES, IGNORED])
def test_any_label_outside_the_classes_is_ignored(pair, labels, outside):
    expected = intra_class_variation(*pair, labels, num_classes=CLASSES)
    relabelled = labels.masked_fill(labels == IGNORED, outside)
    assert torch.equal(intra_class_variation(*pair, relabelled, num_classes=CLASSES), expected)


def test_nothing_labelled_costs_nothing(pair, labels):
    student = pair[0].requires_grad_()
    loss = intra_class_variation(student, pair[1], torch.full_like(labels, IGNORED), num_classes=CLASSES)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-30)
    assert student.grad.abs().max() < 1e-15


def test_a_class_of_one_pixel_is_its_own_centre(pair):
    labels = torch.arange(20).view(1, 4, 5)
    student, teacher = (m[:1] for m in pair)
    loss = intra_class_variation(student, teacher, labels, num_classes=20)
    assert loss.item() == pytest.approx(0, abs=1e-30)


def test_a_pixel_of_zeros_has_finite_gradients(pair, labels):
    student = pair[0].clone()
    student[:, :, 0] = 0
    student.requires_grad_()
    intra_class_variation(student, pair[1], labels, num_classes=CLASSES).backward()
    assert torch.isfinite(student.grad).all()


def test_teacher_receives_no_gradient(pair, labels):
    student, teacher = (m.requires_grad_() for m in pair)
    intra_class_variation(student, teacher, labels, num_classes=CLASSES).backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


def test_extreme_half_precision_maps_give_a_finite_float32(labels):
    student = torch.full((2, 3, 4, 5), 6e4, dtype=torch.float16).requires_grad_()
    loss = intra_class_variation(student, -student.detach(), labels, num_classes=CLASSES)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(0, abs=1e-10)
    assert torch.isfinite(student.grad).all()


def test_autocast_around_it_changes_nothing(pair, labels):
    student, teacher = (m.float() for m in pair)
    with torch.autocast("cpu", torch.bfloat16):
        inside = intra_class_variation(student, teacher, labels, num_classes=CLASSES)
    assert torch.equal(inside, intra_class_variation(student, teacher, labels, num_classes=CLASSES))


def test_labels_of_another_grid_are_named(pair, labels):
    with pytest.raises(ShapeError, match=r"labels \(2, 4, 4\). Resize"):
        intra_class_variation(*pair, labels[..., :4], num_classes=CLASSES)


def test_nearest_labels_are_those_at_the_upper_left_of_each_cell():
    numbered = torch.arange(7).expand(1, 7, 7)
    got = labels_on_grid(numbered, covers=(7, 7), grid=(3, 3))
    assert got[0, 0].tolist() == [0, 2, 4]


def test_aligned_labels_reach_from_the_first_pixel_to_the_last():
    numbered = torch.arange(9).expand(1, 9, 9)
    got = labels_on_grid(numbered, covers=(9, 9), grid=(3, 3), resize="aligned")
    assert got[0, 0].tolist() == [0, 4, 8]


def test_nearest_resizing_is_that_of_torch_for_sizes_that_do_not_divide():
    """106 onto 52: in single precision some indices are one less than in whole numbers."""
    numbered = torch.arange(106 * 53).view(1, 106, 53)
    expected = torch.nn.functional.interpolate(numbered[None].double(), size=(52, 9), mode="nearest")
    assert torch.equal(labels_on_grid(numbered, covers=(106, 53), grid=(52, 9)), expected[0].long())


@pytest.mark.parametrize("resize", ["nearest", "aligned"])
def test_padding_that_the_network_added_is_ignored(resize):
    labels = torch.zeros(1, 3, 4, dtype=torch.uint8)
    got = labels_on_grid(labels, covers=(4, 6), grid=(4, 6), resize=resize)
    assert got[0].tolist() == [[0, 0, 0, 0, IGNORED, IGNORED]] * 3 + [[IGNORED] * 6]
    assert got.dtype == torch.uint8


def test_labels_beyond_what_the_map_covers_are_refused():
    with pytest.raises(ShapeError, match="labels are 9x8, but the map covers 8x8"):
        labels_on_grid(torch.zeros(1, 9, 8), covers=(8, 8), grid=(2, 2))


def test_one_cell_takes_the_first_label():
    for resize in ("nearest", "aligned"):
        got = labels_on_grid(torch.arange(5).expand(1, 5, 5), covers=(5, 5), grid=(1, 1), resize=resize)
        assert got.tolist() == [[[0]]]


@pytest.mark.parametrize("resize", ["nearest", "aligned"])
def test_method_reads_labels_and_students_on_the_teachers_grid(resize):
    target = torch.randint(0, 3, (1, 17, 17), generator=torch.Generator().manual_seed(0)).byte()
    fine, coarse = noise(1, 3, 5, 5, seed=1), noise(1, 2, 3, 3, seed=2)
    method = built("ifvd", 2, 3, label_resize=resize)
    terms = terms_of(method, output_of(coarse, padded=(17, 17)), output_of(fine, padded=(17, 17)), target)
    resized = torch.nn.functional.interpolate(coarse, size=(5, 5), mode="bilinear", align_corners=True)
    labels = labels_on_grid(target, covers=(17, 17), grid=(5, 5), resize=resize)
    expected = intra_class_variation(resized, fine, labels, num_classes=CLASSES)
    torch.testing.assert_close(terms["variation"], expected, rtol=EXACT, atol=0)


def test_says_that_it_needs_labels():
    assert METHODS["ifvd"].settings(name="ifvd").needs_labels()
