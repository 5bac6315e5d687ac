"""Pixel-wise contrast equals the formula written slowly, and the authors' numbers."""

import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from distill.losses import pixel_contrast as module
from distill.losses.pixel_contrast import image_keys, pixel_contrast
from distill.replay import run_replay
from modelpack.errors import SettingsError, ShapeError

GOLDEN = Path(__file__).parents[1] / "golden"
TEMPERATURE = 0.2


def maps(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def case(images=2, channels=6, height=3, width=4, size=10):
    queue = F.normalize(maps(channels, size, seed=3), dim=0)
    return maps(images, channels, height, width, seed=1), maps(images, channels, height, width, seed=2), queue


def slow_row(student, teacher, queue):
    student, teacher = student / student.norm(), teacher / teacher.norm()
    positive = math.exp(float(student @ teacher) / TEMPERATURE)
    negatives = sum(math.exp(float(student @ column) / TEMPERATURE) for column in queue.T)
    return -math.log(positive / (positive + negatives))


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("pcd_*.npz")), ids=lambda path: path.stem)
def test_losses_queue_and_adapted_head_of_the_authors_are_reproduced(path):
    lines, is_right = run_replay([path])
    assert is_right, lines
    assert [line.rsplit(" ", 1)[1] for line in lines] == ["ok", "ok"]


def test_it_is_the_mean_over_images_and_pixels():
    student, teacher, queue = case()
    rows = [
        slow_row(student[image, :, y, x], teacher[image, :, y, x], queue)
        for image in range(2)
        for y in range(3)
        for x in range(4)
    ]
    ours = pixel_contrast(student, teacher, queue, temperature=TEMPERATURE)
    assert float(ours) == pytest.approx(sum(rows) / len(rows), rel=1e-12)


def test_gradients_reach_the_student_and_nobody_else():
    student, teacher, queue = (tensor.requires_grad_() for tensor in case(1, 4, 2, 2, 5))
    pixel_contrast(student, teacher, queue, temperature=TEMPERATURE).backward()
    assert teacher.grad is None
    assert queue.grad is None
    assert torch.autograd.gradcheck(
        lambda maps: pixel_contrast(maps, teacher, queue, temperature=TEMPERATURE), (student,)
    )


def test_pieces_give_the_loss_and_gradient_of_the_whole(monkeypatch):
    student, teacher, queue = case()
    results = []
    for most in (1 << 24, 3 * queue.shape[1]):
        monkeypatch.setattr(module, "_MOST_SIMILARITIES", most)
        leaf = student.clone().requires_grad_()
        loss = pixel_contrast(leaf, teacher, queue, temperature=TEMPERATURE)
        loss.backward()
        results.append((loss.detach(), leaf.grad))
    torch.testing.assert_close(results[0], results[1])


def test_pixels_without_a_partner_do_not_count():
    student, teacher, queue = case(1, 6, 2, 2)
    is_paired = torch.tensor([[[True, False], [False, True]]])
    rows = [slow_row(student[0, :, place, place], teacher[0, :, place, place], queue) for place in (0, 1)]
    ours = pixel_contrast(student, teacher, queue, temperature=TEMPERATURE, is_paired=is_paired)
    assert float(ours) == pytest.approx(sum(rows) / 2, rel=1e-12)


def test_without_any_pair_loss_and_gradient_are_zero():
    student, teacher, queue = case()
    student.requires_grad_()
    nowhere = torch.zeros(2, 3, 4, dtype=torch.bool)
    loss = pixel_contrast(student, teacher, queue, temperature=TEMPERATURE, is_paired=nowhere)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(student.grad, torch.zeros_like(student))


def test_shards_divided_by_the_pairs_of_the_whole_average_to_the_whole():
    student, teacher, queue = case()
    is_paired = torch.arange(24).reshape(2, 3, 4) % 5 < 2
    whole = pixel_contrast(student, teacher, queue, temperature=TEMPERATURE, is_paired=is_paired)
    pairs = is_paired.sum() / 2
    shards = zip(student.split(1), teacher.split(1), is_paired.split(1), strict=True)
    parts = [
        pixel_contrast(*maps, queue, temperature=TEMPERATURE, is_paired=paired, pairs=pairs)
        for *maps, paired in shards
    ]
    torch.testing.assert_close(sum(parts) / 2, whole)


def test_half_precision_maps_give_a_float32_loss_under_autocast():
    student, teacher, queue = (tensor.bfloat16() for tensor in case())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert pixel_contrast(student, teacher, queue, temperature=TEMPERATURE).dtype == torch.float32


def test_the_key_of_an_image_is_its_mean_vector_at_length_one():
    teacher = maps(2, 6, 3, 4)
    torch.testing.assert_close(image_keys(teacher), F.normalize(teacher.mean((2, 3)), dim=1))


def test_what_does_not_fit_is_refused_with_a_way_out():
    student, teacher, queue = case()
    with pytest.raises(ShapeError, match="equal shapes"):
        pixel_contrast(student, teacher[..., :3], queue, temperature=TEMPERATURE)
    with pytest.raises(ShapeError, match=r"needs a queue \(6, size\), got \(5, 10\)"):
        pixel_contrast(student, teacher, queue[:5], temperature=TEMPERATURE)
    with pytest.raises(SettingsError, match="temperature is 0, it must be above 0"):
        pixel_contrast(student, teacher, queue, temperature=0)
