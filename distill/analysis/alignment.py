"""Linear CKA: how alike two sets of features are, up to rotation and scale, whatever their widths.

Source: Kornblith et al., "Similarity of Neural Network Representations Revisited", ICML 2019. Where there are
not many more positions than channels, that value is near 1 for features that have nothing in common; the
debiased one uses the estimator HSIC_1 of Song et al., "Feature Selection via Dependence Maximization", JMLR
2012, as Nguyen et al., "Do Wide and Deep Networks Learn the Same Things?", ICLR 2021, do. Both are computed
here from sums over positions, without the Gram matrices.
"""

import math

import torch

from distill.analysis.moments import Moments, Products

_FEWEST_POSITIONS = 4
"""HSIC_1 divides by n (n - 3)."""


def linear_cka(moments: Moments) -> float:
    """In 0..1: |X^T Y|^2 / (|X^T X| |Y^T Y|) of the centred features; NaN where a side is constant."""
    means = moments.student_mean, moments.teacher_mean
    student, teacher, both = (
        float(products.about(first, second, moments.count).square().sum())
        for products, first, second in (
            (moments.student, means[0], means[0]),
            (moments.teacher, means[1], means[1]),
            (moments.both, means[0], means[1]),
        )
    )
    return _ratio(both, student, teacher, moments)


def debiased_linear_cka(moments: Moments) -> float:
    """About 0 for features that have nothing in common, 1 for equal ones; may be a little below 0.

    NaN where a side is constant, and for fewer than four positions.
    """
    if moments.count < _FEWEST_POSITIONS:
        return math.nan
    student, teacher, both = (
        _unbiased_hsic(products, moments, *lengths)
        for products, lengths in (
            (moments.student, (moments.student, moments.student)),
            (moments.teacher, (moments.teacher, moments.teacher)),
            (moments.both, (moments.student, moments.teacher)),
        )
    )
    return _ratio(both, student, teacher, moments)


def _unbiased_hsic(cross: Products, moments: Moments, first: Products, second: Products) -> float:
    """HSIC_1 of the linear kernels K = X X^T and L = Y Y^T, their diagonals left out.

    first, second: products of each side with itself, whose traces are those of K and L.
    """
    n = moments.count
    traces = float(cross.products.square().sum() - cross.lengths)
    sums = [
        float(total.square().sum() - torch.trace(own.products))
        for total, own in ((cross.first, first), (cross.second, second))
    ]
    mixed = float(
        cross.first @ cross.products @ cross.second
        - cross.second_by_length @ cross.second
        - cross.first_by_length @ cross.first
        + cross.lengths
    )
    return (traces + sums[0] * sums[1] / ((n - 1) * (n - 2)) - 2 * mixed / (n - 2)) / (n * (n - 3))


def _ratio(both: float, student: float, teacher: float, moments: Moments) -> float:
    if moments.student_spread == 0 or moments.teacher_spread == 0 or min(student, teacher) <= 0:
        return math.nan
    return both / math.sqrt(student * teacher)
