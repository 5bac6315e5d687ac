"""The measures of an analysis against their definitions, written out slowly."""

import math

import pytest
import torch
from torch import Tensor

from distill.analysis.alignment import debiased_linear_cka, linear_cka
from distill.analysis.colours import principal_scores, turned_towards
from distill.analysis.linear_map import LinearMap
from distill.analysis.moments import Moments
from distill.analysis.pairs import FeaturePair, find_pairs
from distill.analysis.self_similarity import local_similarities, mean_similarity, similarity_differences
from distill.networks.output import FeatureInfo
from modelpack.errors import SettingsError, ShapeError

EXACT = 1e-9
"""Sums are float64."""


@pytest.fixture
def maps() -> tuple[Tensor, Tensor]:
    """A student's (2, 5, 3, 4) and a teacher's (2, 7, 3, 4), partly alike."""
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(2, 5, 3, 4, generator=generator)
    noise = torch.randn(2, 7, 3, 4, generator=generator)
    noise[:, :5] += student
    return student, noise + 3


def rows_of(features: Tensor) -> Tensor:
    return features.double().movedim(1, 3).reshape(-1, features.shape[1])


def centred_gram_cka(student: Tensor, teacher: Tensor) -> float:
    """HSIC of both, from Gram matrices of centred rows."""
    grams = [rows @ rows.T for rows in (x - x.mean(0) for x in map(rows_of, (student, teacher)))]
    cross, first, second = (float((a * b).sum()) for a, b in ((*grams,), (grams[0],) * 2, (grams[1],) * 2))
    return cross / math.sqrt(first * second)


def unbiased_hsic(k: Tensor, el: Tensor) -> float:
    """Song et al., 2012, equation 5."""
    k, el = (gram - gram.diagonal().diag() for gram in (k, el))
    n, ones = len(k), torch.ones(len(k), dtype=k.dtype)
    whole = (ones @ k @ ones) * (ones @ el @ ones) / ((n - 1) * (n - 2))
    mixed = 2 / (n - 2) * (ones @ k @ el @ ones)
    return float((torch.trace(k @ el) + whole - mixed) / (n * (n - 3)))


def test_cka_agrees_with_its_definition(maps: tuple[Tensor, Tensor]):
    assert linear_cka(Moments.of(*maps)) == pytest.approx(centred_gram_cka(*maps), abs=EXACT)


def test_debiased_cka_agrees_with_its_definition(maps: tuple[Tensor, Tensor]):
    k, el = (rows @ rows.T for rows in map(rows_of, maps))
    expected = unbiased_hsic(k, el) / math.sqrt(unbiased_hsic(k, k) * unbiased_hsic(el, el))
    assert debiased_linear_cka(Moments.of(*maps)) == pytest.approx(expected, abs=EXACT)


def test_moments_of_parts_add_up_to_those_of_the_whole(maps: tuple[Tensor, Tensor]):
    parts = Moments.of(*(side[:1] for side in maps)) + Moments.of(*(side[1:] for side in maps))
    assert parts.count == 24
    assert debiased_linear_cka(parts) == pytest.approx(debiased_linear_cka(Moments.of(*maps)), abs=EXACT)


@pytest.mark.parametrize("cka", [linear_cka, debiased_linear_cka])
def test_cka_does_not_see_rotation_scale_and_shift(maps: tuple[Tensor, Tensor], cka):
    turn = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(1)))[0]
    turned = 0.01 * torch.einsum("nchw,cd->ndhw", maps[0], turn) + 2
    assert cka(Moments.of(turned, maps[0])) == pytest.approx(1, abs=1e-4)


def test_only_debiased_cka_sees_that_wide_noise_has_nothing_in_common():
    noise = torch.randn(2, 1, 200, 5, 4, generator=torch.Generator().manual_seed(0))
    moments = Moments.of(*noise)
    assert linear_cka(moments) > 0.8
    assert abs(debiased_linear_cka(moments)) < 0.1


def test_a_constant_map_has_no_cka(maps: tuple[Tensor, Tensor]):
    moments = Moments.of(torch.full_like(maps[0], 0.1), maps[1])
    assert math.isnan(linear_cka(moments))
    assert math.isnan(debiased_linear_cka(moments))


def test_nothing_is_left_of_what_a_1x1_convolution_makes_of_the_student(maps: tuple[Tensor, Tensor]):
    student, _ = maps
    weight = torch.randn(9, 5, generator=torch.Generator().manual_seed(1))
    teacher = torch.einsum("nchw,dc->ndhw", student, weight) - 4
    fitted, measured = (Moments.of(student[half], teacher[half]) for half in (slice(1), slice(1, 2)))
    assert LinearMap.fit(fitted).relative_distance(measured) == pytest.approx(0, abs=1e-4)


def test_the_relative_distance_is_the_unexplained_share_of_the_variance(maps: tuple[Tensor, Tensor]):
    fitted, measured = (Moments.of(*(side[half] for side in maps)) for half in (slice(1), slice(1, 2)))
    fit = LinearMap.fit(fitted)
    x, y = (rows_of(side[1:2]) for side in maps)
    predicted = (x - fit.student_mean) @ fit.weight + fit.teacher_mean
    expected = (y - predicted).square().sum() / (y - y.mean(0)).square().sum()
    assert fit.relative_distance(measured) == pytest.approx(float(expected), rel=1e-6)


def test_a_student_that_says_nothing_predicts_the_mean(maps: tuple[Tensor, Tensor]):
    moments = Moments.of(torch.zeros_like(maps[0]), maps[1])
    assert LinearMap.fit(moments).relative_distance(moments) == pytest.approx(1, abs=EXACT)


def test_local_similarities_are_cosines_with_each_neighbour():
    features = torch.randn(1, 6, 4, 5, generator=torch.Generator().manual_seed(0))
    found = local_similarities(features, 3)
    offsets = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]
    for index, (down, right) in enumerate(offsets):
        for y in range(4):
            for x in range(5):
                value = found[0, index, y, x]
                if 0 <= y + down < 4 and 0 <= x + right < 5:
                    there = features[0, :, y + down, x + right]
                    torch.testing.assert_close(value, torch.cosine_similarity(features[0, :, y, x], there, 0))
                else:
                    assert value.isnan()


def test_self_similarity_does_not_see_the_scale_of_a_map(maps: tuple[Tensor, Tensor]):
    found = [local_similarities(features, 3) for features in (maps[0], 7 * maps[0])]
    assert float(similarity_differences(*found).max()) < 1e-6


def test_mean_similarity_is_low_where_two_areas_meet():
    features = torch.zeros(1, 2, 4, 8)
    features[:, 0, :, :4], features[:, 1, :, 4:] = 1, 1
    row = mean_similarity(features, 3)[0, 2]
    assert row[0] == row[7] == 1
    assert row[3] < 0.7


def test_self_similarities_of_two_grids_are_refused(maps: tuple[Tensor, Tensor]):
    small = local_similarities(maps[0][..., :2], 3)
    with pytest.raises(ShapeError, match="compared on one grid"):
        similarity_differences(small, local_similarities(maps[1], 3))


def test_pairs_are_common_names_and_what_methods_compare_under_two_names():
    info = FeatureInfo(8, 4)
    used = {FeaturePair("stage2", "stage4"), FeaturePair("head", "head")}
    student, teacher = dict.fromkeys(("stage2", "head"), info), dict.fromkeys(("stage4", "head"), info)
    assert [pair.name for pair in find_pairs(student, teacher, used)] == ["head", "stage2-stage4"]
    with pytest.raises(SettingsError, match="have no feature of the same name"):
        find_pairs({"stage1": info}, {"head": info}, ())


def test_a_map_with_its_channels_turned_gets_the_same_colours(maps: tuple[Tensor, Tensor]):
    features = list(maps[0])
    swapped = [-part.flip(0) for part in features]
    scores = principal_scores(features)
    for own, other in zip(scores, turned_towards(principal_scores(swapped), scores), strict=True):
        torch.testing.assert_close(own, other)


def test_a_map_of_two_channels_leaves_the_third_colour_empty():
    scores = principal_scores([torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))])
    assert (scores[0][..., 2] == 0).all()
