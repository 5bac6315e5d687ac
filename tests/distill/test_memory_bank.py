"""What CIRKD remembers: rings of embeddings, and how a batch's pixels get into them."""

import pytest
import torch
from torch import Tensor

from distill.losses.unit_vectors import unit_vectors
from distill.methods.class_memory import ClassMemory
from distill.methods.class_samples import ClassSamples, class_samples
from distill.methods.memory_bank import MemoryBank
from distill.methods.method import StepContext
from modelpack.errors import ShapeError
from tests.distill.feature_pairs import noise

CLASSES, CHANNELS = 3, 4
IGNORED = 255


def bank_of_zeros(size: int) -> MemoryBank:
    """One class, one channel."""
    bank = MemoryBank(1, size, 1)
    bank.vectors.zero_()
    return bank


def push(bank: MemoryBank, *values: float) -> None:
    bank.push(torch.tensor(values).view(1, 1, -1, 1), torch.tensor([[len(values)]]))


def content(bank: MemoryBank) -> list[float]:
    return bank.vectors.flatten().tolist()


def test_a_new_bank_holds_noise_of_length_1_and_starts_at_slot_0():
    bank = MemoryBank(CLASSES, 50, CHANNELS)
    torch.testing.assert_close(bank.vectors.norm(dim=2), torch.ones(CLASSES, 50))
    assert bank.vectors.mean().abs() < 0.1
    assert bank.pointers.tolist() == [0] * CLASSES


def test_vectors_are_written_one_after_the_other():
    bank = bank_of_zeros(5)
    push(bank, 1, 2)
    push(bank, 3)
    assert content(bank) == [1, 2, 3, 0, 0]
    assert bank.pointers.tolist() == [3]


@pytest.mark.parametrize(
    ("second", "expected"),
    [((4, 5), [1, 2, 3, 4, 5]), ((4, 5, 6), [1, 2, 4, 5, 6])],
    ids=["fits", "overflows"],
)
def test_what_reaches_the_end_goes_to_the_last_slots_and_the_ring_begins_again(second, expected):
    bank = bank_of_zeros(5)
    push(bank, 1, 2, 3)
    push(bank, *second)
    assert content(bank) == expected
    assert bank.pointers.tolist() == [0]
    push(bank, 7)
    assert content(bank) == [7, *expected[1:]]


def test_single_vectors_go_round_without_leaving_a_slot_out():
    bank = bank_of_zeros(3)
    for value in range(1, 6):
        push(bank, value)
    assert content(bank) == [4, 5, 3]
    assert bank.pointers.tolist() == [2]


def test_every_class_has_its_own_ring_and_absent_ones_are_left_alone():
    bank = MemoryBank(2, 3, 1)
    before = bank.vectors.clone()
    bank.push(torch.tensor([[[1.0], [9.0]], [[2.0], [9.0]]]).unsqueeze(2), torch.tensor([[1, 0], [1, 0]]))
    assert bank.vectors[0, :2].flatten().tolist() == [1, 2]
    assert torch.equal(bank.vectors[1], before[1])
    assert bank.pointers.tolist() == [2, 0]


def test_more_than_the_ring_holds_is_refused():
    with pytest.raises(ShapeError, match="3 embeddings at once do not fit into a memory of 2"):
        push(bank_of_zeros(2), 1, 2, 3)


def test_the_same_slots_of_all_classes_are_taken_class_by_class():
    bank = MemoryBank(2, 3, 1)
    bank.vectors.copy_(torch.arange(6.0).view(2, 3, 1))
    assert bank.take(torch.tensor([2, 0])).flatten().tolist() == [2, 0, 5, 3]


def batch() -> tuple[Tensor, Tensor]:
    """Two images of 3 x 4 pixels; class 2 in the second only, some pixels ignored."""
    labels = torch.tensor([[[1, 0, 1, 1], [255, 0, 1, 255], [0, 0, 0, 1]], [[0] * 4, [2] * 4, [255] * 4]])
    return unit_vectors(noise(2, CHANNELS, 3, 4).float()), labels


def reversed_order(image: int, count: int) -> Tensor:
    return torch.arange(count).flip(0)


def sampled(**over: object) -> ClassSamples:
    options = {"num_classes": CLASSES, "most": 3, "enqueue": "per_class", "permute": reversed_order}
    return class_samples(*batch(), **options | over)


def test_counts_are_those_of_each_image_and_at_most_as_many_as_wanted():
    samples = sampled()
    assert samples.pixel_counts.tolist() == [[3, 3, 0], [3, 0, 3]]
    assert samples.region_counts.tolist() == [[1, 1, 0], [1, 0, 1]]
    assert sampled(most=4).pixel_counts.tolist() == [[4, 4, 0], [4, 0, 4]]


def test_pixels_of_the_class_are_chosen_by_default():
    units, labels = batch()
    of_class = units[0].flatten(1)[:, labels[0].flatten() == 1]
    torch.testing.assert_close(sampled().pixels[0, 1], of_class.flip(1)[:, :3].t())


def test_the_published_choice_takes_the_permutation_for_places_in_the_map():
    units, _ = batch()
    count = 5  # pixels of class 1 in the first image
    expected = units[0].flatten(1)[:, [count - 1, count - 2, count - 3]].t()
    torch.testing.assert_close(sampled(enqueue="published").pixels[0, 1], expected)


def test_regions_are_means_over_the_class_at_length_1():
    units, labels = batch()
    mean = units[1].flatten(1)[:, labels[1].flatten() == 2].mean(dim=1)
    torch.testing.assert_close(sampled().regions[1, 2, 0], mean / mean.norm())


def test_regions_are_in_full_precision_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        inside = sampled()
    assert torch.equal(inside.regions, sampled().regions)


def memory_of(*, size: int = 20) -> ClassMemory:
    torch.manual_seed(0)
    return ClassMemory({"pixel": size, "region": size}, CLASSES, CHANNELS, 3, "per_class")


def remember(memory: ClassMemory, images: slice, seeds: tuple[int, ...]) -> None:
    units, labels = (part[images] for part in batch())
    memory.remember(units, labels, StepContext(0, seeds[images]))


def test_a_batch_leaves_what_its_images_leave_one_after_the_other():
    """So any number of processes, which gather in this order, remembers the same."""
    whole, parts = memory_of(), memory_of()
    remember(whole, slice(0, 2), (5, 6))
    remember(parts, slice(0, 1), (5, 6))
    remember(parts, slice(1, 2), (5, 6))
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], value, msg=name)


def test_pixels_are_drawn_from_the_images_seeds():
    first, again, other = memory_of(), memory_of(), memory_of()
    for memory, seeds in ((first, (5, 6)), (again, (5, 6)), (other, (7, 8))):
        remember(memory, slice(0, 2), seeds)
    pixels = [memory.state_dict()["banks.pixel.vectors"] for memory in (first, again, other)]
    assert torch.equal(pixels[0], pixels[1])
    assert not torch.equal(pixels[0], pixels[2])


def test_slots_are_distinct_and_differ_from_step_to_step():
    memory = memory_of()
    counts = {"pixel": 20, "region": 5}
    draws = [memory.draw(counts, StepContext(step, (5, 6))) for step in (0, 0, 1)]
    assert draws[0]["pixel"].shape == (CLASSES * 20, CHANNELS)
    assert draws[0]["region"].shape == (CLASSES * 5, CHANNELS)
    assert len(draws[0]["pixel"].unique(dim=0)) == CLASSES * 20
    assert torch.equal(draws[0]["region"], draws[1]["region"])
    assert not torch.equal(draws[0]["region"], draws[2]["region"])
