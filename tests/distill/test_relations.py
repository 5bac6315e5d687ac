"""Relations of pixels to pixels and to remembered embeddings, against their formulas written out."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from distill.losses import row_divergence
from distill.losses.memory_relations import memory_relations
from distill.losses.pixel_relations import pixel_relations
from distill.losses.unit_vectors import unit_vectors
from modelpack.errors import SettingsError, ShapeError
from tests.distill.contrast_cases import EXACT, gradient
from tests.distill.feature_pairs import noise
from tests.distill.live_memory import LiveMemory

BATCH = {"temperature": 0.3, "group": 2}
MEMORY = {"temperature": 0.3, "kd_temperature": 2.0}


def divergence(student_row: Tensor, teacher_row: Tensor) -> Tensor:
    """KL(teacher || student) of two rows of logits."""
    p, q = teacher_row.softmax(0), student_row.softmax(0)
    return (p * (p / q).log()).sum()


def pixels_of(image: Tensor) -> Tensor:
    """(C, H, W) to unit vectors (pixels, C)."""
    return F.normalize(image.flatten(1).t(), dim=1)


def batch_by_loop(student: Tensor, teacher: Tensor, temperature: float, groups: list[list[int]]) -> Tensor:
    """One pixel of one pair of images at a time; groups weigh as many images as they have."""
    total = 0
    for group in groups:
        for i in group:
            for j in group:
                rows = [
                    pixels_of(maps[i]) @ pixels_of(maps[j]).t() / temperature for maps in (student, teacher)
                ]
                pair = sum(divergence(s, t) for s, t in zip(*rows, strict=True)) / len(rows[0])
                total += pair / len(group) ** 2 * len(group) / len(student)
    return total


def batch_maps() -> tuple[Tensor, Tensor]:
    """Three images, widths that differ."""
    return noise(3, 4, 2, 3, seed=1), noise(3, 5, 2, 3, seed=2)


def memory_case() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Student, teacher, remembered, valid pixels."""
    units = (unit_vectors(noise(2, 4, 2, 3, seed=seed)) for seed in (1, 2))
    is_valid = torch.tensor([[[True, False, True]] * 2, [[True, True, False]] * 2])
    return *units, unit_vectors(noise(7, 4, seed=3)), is_valid


@pytest.mark.parametrize(
    ("group", "groups"), [(1, [[0], [1], [2]]), (2, [[0, 1], [2]]), (3, [[0, 1, 2]]), (8, [[0, 1, 2]])]
)
def test_pixel_relations_are_those_of_all_pairs_within_a_group(group, groups):
    maps = batch_maps()
    expected = batch_by_loop(*maps, 0.3, groups)
    got = pixel_relations(*maps, temperature=0.3, group=group)
    torch.testing.assert_close(got, expected, rtol=EXACT, atol=0)


def test_gradient_of_pixel_relations_is_that_of_the_formula():
    student, teacher = batch_maps()
    (got,) = gradient(lambda s: pixel_relations(s, teacher, **BATCH), student)
    (expected,) = gradient(lambda s: batch_by_loop(s, teacher, 0.3, [[0, 1], [2]]), student)
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-13)


def test_memory_relations_are_the_mean_over_valid_pixels():
    student, teacher, remembered, is_valid = memory_case()
    rows = [units.movedim(1, -1)[is_valid] @ remembered.t() / 0.3 / 2.0 for units in (student, teacher)]
    expected = 2.0**2 * sum(divergence(s, t) for s, t in zip(*rows, strict=True)) / int(is_valid.sum())
    got = memory_relations(*memory_case(), **MEMORY)
    torch.testing.assert_close(got, expected, rtol=EXACT, atol=0)


def test_gradient_of_memory_relations_is_the_numerical_one():
    student, *rest = memory_case()
    assert torch.autograd.gradcheck(lambda s: memory_relations(s, *rest, **MEMORY), student.requires_grad_())


def test_memory_relations_may_be_divided_by_a_count_from_outside():
    case = memory_case()
    ours = memory_relations(*case, valid_pixels=torch.tensor(0.5), **MEMORY)
    torch.testing.assert_close(ours, memory_relations(*case, **MEMORY) * 8 / 0.5, rtol=EXACT, atol=0)


def test_without_a_valid_pixel_the_loss_and_its_gradient_are_zero():
    student, teacher, remembered, is_valid = memory_case()
    loss = memory_relations(student.requires_grad_(), teacher, remembered, is_valid & False, **MEMORY)
    loss.backward()
    assert loss.item() == 0
    assert student.grad.abs().max() == 0


LOSSES = {
    "batch": lambda student, teacher: pixel_relations(student, teacher, **BATCH),
    "memory": lambda student, teacher: memory_relations(
        unit_vectors(student),
        unit_vectors(teacher),
        memory_case()[2],
        torch.ones(len(student), *student.shape[2:], dtype=torch.bool),
        **MEMORY,
    ),
}
both = pytest.mark.parametrize("loss_of", LOSSES.values(), ids=LOSSES)


def equal_width_maps() -> tuple[Tensor, Tensor]:
    return noise(3, 4, 2, 3, seed=1), noise(3, 4, 2, 3, seed=2)


@both
@pytest.mark.parametrize("block_elements", [1, 13, 1000])
def test_does_not_depend_on_how_the_work_is_cut_into_blocks(monkeypatch, loss_of, block_elements):
    maps = equal_width_maps()
    expected = loss_of(*maps), *gradient(lambda s: loss_of(s, maps[1]), maps[0])
    monkeypatch.setitem(row_divergence._BLOCK_ELEMENTS, "cpu", block_elements)
    got = loss_of(*maps), *gradient(lambda s: loss_of(s, maps[1]), maps[0])
    for ours, whole in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, whole, rtol=EXACT, atol=EXACT)


@both
def test_does_not_depend_on_the_layout_of_the_maps(loss_of):
    student, teacher = equal_width_maps()
    last = [maps.contiguous(memory_format=torch.channels_last) for maps in (student, teacher)]
    torch.testing.assert_close(loss_of(*last), loss_of(student, teacher), rtol=EXACT, atol=0)
    (got,) = gradient(lambda s: loss_of(s, last[1]), last[0])
    (expected,) = gradient(lambda s: loss_of(s, teacher), student)
    torch.testing.assert_close(got, expected, rtol=EXACT, atol=EXACT)


@both
def test_is_zero_with_zero_gradient_for_equal_maps(loss_of):
    _, teacher = equal_width_maps()
    student = (3 * teacher).requires_grad_()
    loss = loss_of(student, teacher)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-14)
    assert student.grad.abs().max() < 1e-14


@both
def test_teacher_receives_no_gradient(loss_of):
    student, teacher = (maps.requires_grad_() for maps in equal_width_maps())
    loss_of(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


@both
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_with_pixels_of_zeros_gives_finite_gradients(loss_of, dtype):
    student, teacher = (maps.to(dtype) * 1e4 for maps in equal_width_maps())
    student[0, :, 0] = 0
    loss = loss_of(student.requires_grad_(), teacher)
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert torch.isfinite(student.grad).all()
    assert student.grad[0, :, 0].abs().max() == 0


@both
def test_autocast_around_it_changes_nothing(loss_of):
    maps = [m.float() for m in equal_width_maps()]
    with torch.autocast("cpu", torch.bfloat16):
        inside = loss_of(*maps)
    assert torch.equal(inside, loss_of(*maps))


def test_a_map_of_one_pixel_is_related_to_the_others_of_its_group_alone():
    student, teacher = (m[..., :1, :1].clone() for m in batch_maps())
    loss = pixel_relations(student.requires_grad_(), teacher, **BATCH)
    loss.backward()
    assert loss.item() == 0
    assert student.grad.abs().max() == 0


@both
def test_computes_no_gradient_where_none_can_be_asked_for(monkeypatch, loss_of):
    student, teacher = equal_width_maps()
    monkeypatch.setattr(torch, "zeros_like", lambda *_: pytest.fail("made room for a gradient"))
    with torch.no_grad():
        loss_of(student.requires_grad_(), teacher)


@both
def test_never_holds_the_similarities_of_all_pixels(monkeypatch, loss_of):
    """A block here is a 64th of one matrix of 1024 x 1024 similarities; the published code holds several."""
    monkeypatch.setitem(row_divergence._BLOCK_ELEMENTS, "cpu", 1 << 14)
    student, teacher = (noise(2, 4, 32, 32, seed=seed).float() for seed in (1, 2))
    student.requires_grad_()
    with LiveMemory() as live:
        loss_of(student, teacher).backward()
    maps, blocks = student.nbytes, 4 << 14
    assert live.peak_bytes < 8 * maps + 6 * blocks < 2 * 1024**2


def test_unequal_maps_are_named():
    student, teacher = batch_maps()
    with pytest.raises(ShapeError, match=r"student \(3, 4, 2, 3\) and teacher \(3, 5, 2, 2\). Resize"):
        pixel_relations(student, teacher[..., :2], **BATCH)
    with pytest.raises(ShapeError, match=r"student \(3, 4, 2, 3\) and teacher \(3, 5, 2, 3\). Project"):
        memory_relations(student, teacher, noise(7, 5), torch.ones(3, 2, 3), **MEMORY)


def test_embeddings_and_validity_that_do_not_fit_are_named():
    student, teacher, remembered, is_valid = memory_case()
    with pytest.raises(ShapeError, match=r"validity \(2, 2, 3\).*\(M, 4\), got \(2, 2, 3\) and \(7, 3\)"):
        memory_relations(student, teacher, remembered[:, :3], is_valid, **MEMORY)


def test_temperatures_and_groups_must_be_positive():
    with pytest.raises(SettingsError, match="temperature is 0 and group 2"):
        pixel_relations(*batch_maps(), temperature=0, group=2)
    with pytest.raises(SettingsError, match="temperatures are 1 and 0"):
        memory_relations(*memory_case(), temperature=1, kd_temperature=0)
