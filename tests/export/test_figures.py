"""The figures of the gate, each against an answer that can be seen."""

import numpy as np
import pytest

from distill.datasets.camvid import CAMVID_LABELS
from export.class_flips import largest_flips
from export.edge_shift import MIN_EDGES, AxisShift, EdgeShift
from export.logit_errors import LogitErrors, probability_of_the_largest
from export.mask_counts import BAND_PX, MaskCounts, edge_band
from export.mistakes import mistaken_masks
from export.sidings import MIN_PIXELS, Siding, Sidings, convicted
from modelpack.metrics import ConfusionMatrix
from tests.export.tiny_run import TinyNetwork

SEEDED = np.random.default_rng(0)
HEIGHT, WIDTH = 120, 160
MAX_NOISE_SHIFT_PX = 0.03
"""Noise on a few thousand edges moves their mean by hundredths of a pixel."""


def blobs(cell: int = 12) -> np.ndarray:
    """Classes 0-3 in slanted cells, any beside any; the same in every call."""
    classes = np.random.default_rng(1).integers(0, 4, (HEIGHT, WIDTH), np.uint8)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return classes[(rows + columns // 5) // cell, (columns + rows // 5) // cell]


def shifted(mask: np.ndarray, pixels: int, axis: int) -> np.ndarray:
    return np.roll(mask, pixels, axis)


def test_the_band_is_what_lies_within_so_many_pixels_of_an_edge():
    mask = np.zeros((20, 30), np.uint8)
    mask[:, 15:] = 1
    columns = np.flatnonzero(edge_band(mask).all(0))
    assert columns.tolist() == list(range(15 - BAND_PX, 15 + BAND_PX))


def test_band_and_interior_are_counted_apart():
    reference = np.zeros((20, 30), np.uint8)
    reference[:, 15:] = 1
    mask = reference.copy()
    mask[:, 14] = 1
    counts = MaskCounts()
    assert counts.add(mask, reference, np.ones((20, 30), bool)) == pytest.approx(1 / 30)
    assert counts.agreement_interior == 1
    assert counts.agreement_band == pytest.approx(1 - 1 / (2 * BAND_PX))
    assert counts.band_share == pytest.approx(2 * BAND_PX / 30)


def test_a_mask_without_edges_has_no_band():
    counts = MaskCounts()
    flat = np.zeros((20, 30), np.uint8)
    counts.add(flat, flat, np.zeros((20, 30), bool))
    assert counts.agreement_band is None
    assert counts.agreement_confident is None


def shift_of(mask: np.ndarray, reference: np.ndarray, images: int = 12) -> dict[str, AxisShift]:
    """Of so many equal images."""
    shift = EdgeShift(4)
    for _ in range(images):
        shift.add(mask, reference)
    return shift.fit()


@pytest.mark.parametrize(("axis", "name"), [(1, "across"), (0, "down")])
@pytest.mark.parametrize("pixels", [1, -1])
def test_a_mask_that_is_moved_by_a_pixel_is_found_with_its_direction(axis, name, pixels):
    fits = shift_of(shifted(blobs(), pixels, axis), blobs())
    assert fits[name].at_centre_px == pytest.approx(pixels, abs=0.1)
    (other,) = fits.keys() - {name}
    assert fits[other].largest_px < 0.5


def test_a_mask_that_is_enlarged_about_its_centre_is_found_at_the_border():
    places = np.clip(np.rint((np.arange(WIDTH) - WIDTH / 2) / 1.01 + WIDTH / 2), 0, WIDTH - 1).astype(int)
    across = shift_of(blobs()[:, places], blobs())["across"]
    assert across.at_border_px > 0.4
    assert abs(across.at_centre_px) < 0.1


def test_noise_at_edges_is_no_shift():
    shift = EdgeShift(4)
    left, right = shifted(blobs(), -1, 1), shifted(blobs(), 1, 1)
    for _ in range(12):
        moved = np.where(SEEDED.random((HEIGHT, WIDTH)) < 0.5, left, right)
        shift.add(np.where(SEEDED.random((HEIGHT, WIDTH)) < 0.3, moved, blobs()), blobs())
    assert shift.fit()["across"].largest_px < MAX_NOISE_SHIFT_PX


def test_a_class_that_grows_to_all_sides_is_no_shift():
    reference = np.zeros((HEIGHT, WIDTH), np.uint8)
    grown = reference.copy()
    for top in range(10, HEIGHT - 20, 20):
        for left in range(10, WIDTH - 20, 20):
            reference[top : top + 8, left : left + 8] = 1
            grown[top - 1 : top + 9, left - 1 : left + 9] = 1
    fits = shift_of(grown, reference)
    assert fits.keys() == {"across", "down"}
    assert all(fit.largest_px < MAX_NOISE_SHIFT_PX for fit in fits.values())


def test_a_sky_that_grows_is_no_shift_though_it_is_always_above():
    reference = blobs()
    reference[:20] = 3
    reference[20:][reference[20:] == 3] = 2
    grown = reference.copy()
    grown[20] = 3
    assert shift_of(grown, reference)["down"].largest_px < MAX_NOISE_SHIFT_PX


def test_few_edges_say_nothing():
    few = shift_of(blobs(), blobs(), images=12)["across"].edges // 12
    assert shift_of(blobs(), blobs(), images=(MIN_EDGES - 1) // few) == {}


def test_flips_are_named_by_class_and_sorted_by_pixels():
    matrix = ConfusionMatrix(CAMVID_LABELS.num_classes)
    matrix.update(np.array([1, 1, 2, 0], np.uint8), np.array([0, 0, 0, 0], np.uint8))
    first, second = largest_flips(matrix, CAMVID_LABELS)
    assert (first.reference, first.artifact, first.pixels, first.share) == ("Sky", "Building", 2, 0.5)
    assert (second.artifact, second.pixels) == ("Pole", 1)


def test_what_is_added_to_all_classes_of_a_pixel_is_no_noise():
    logits = SEEDED.normal(size=(4, 6, 6)).astype(np.float32)
    errors = LogitErrors()
    errors.add(logits + 3, logits)
    assert errors.noise == pytest.approx(0, abs=1e-6)
    assert errors.largest == pytest.approx(3, rel=1e-5)


def test_noise_is_a_share_of_the_signal():
    logits = SEEDED.normal(size=(4, 60, 60)).astype(np.float32)
    errors = LogitErrors()
    errors.add(logits + 0.1 * SEEDED.normal(size=logits.shape).astype(np.float32), logits)
    assert errors.noise == pytest.approx(0.1, rel=0.05)


def test_probability_of_the_largest_is_softmax():
    logits = SEEDED.normal(size=(4, 3, 3)).astype(np.float32)
    softmax = np.exp(logits) / np.exp(logits).sum(0)
    np.testing.assert_allclose(probability_of_the_largest(logits), softmax.max(0), rtol=1e-6)


@pytest.fixture(scope="module")
def mistaken() -> dict[str, np.ndarray]:
    image = SEEDED.integers(0, 256, (8, 12, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    return mistaken_masks(TinyNetwork(11).eval(), image, "cpu")


@pytest.fixture(scope="module")
def right(mistaken) -> np.ndarray:
    (moved,) = (mask for name, mask in mistaken.items() if name.endswith("mirrored"))
    return moved[:, ::-1]


def sidings_of(mask: np.ndarray, right: np.ndarray, mistaken: dict[str, np.ndarray]) -> dict[str, Siding]:
    sidings = Sidings()
    sidings.add(mask, right, mistaken)
    return sidings.shares()


def test_the_reference_itself_takes_the_side_of_no_mistake(right, mistaken):
    shares = sidings_of(right, right, mistaken)
    assert {siding.share for siding in shares.values()} == {0.0}
    assert list(convicted(shares, 0.5)) == []


def test_each_mistake_is_convicted_by_its_name_also_under_noise(right, mistaken):
    for name, mask in mistaken.items():
        noisy = np.where(SEEDED.random(mask.shape) < 0.1, SEEDED.integers(0, 11, mask.shape, np.uint8), mask)
        if (mask != right).sum() >= 2 * MIN_PIXELS:
            (sentence,) = convicted(sidings_of(noisy, right, mistaken), 2 / 3)
            assert name in sentence


def test_noise_takes_no_side(right, mistaken):
    for share in (0.05, 0.3):
        noisy = np.where(
            SEEDED.random(right.shape) < share, SEEDED.integers(0, 11, right.shape, np.uint8), right
        )
        assert list(convicted(sidings_of(noisy, right, mistaken), 0.5)) == []
