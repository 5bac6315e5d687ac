"""The learning rate follows the published polynomial."""

import pytest

from distill.schedule import poly_lr


def test_the_published_schedule_starts_at_the_peak():
    assert poly_lr(0, peak=0.02, steps=40_000, power=0.9) == 0.02


def test_the_published_schedule_is_the_polynomial():
    assert poly_lr(10_000, peak=0.02, steps=40_000, power=0.9) == pytest.approx(0.02 * 0.75**0.9, rel=1e-12)


def test_warm_up_rises_to_the_decay_curve_without_a_jump():
    rates = [poly_lr(step, peak=1.0, steps=100, power=0.9, warmup_steps=10) for step in range(12)]
    assert rates[:11] == sorted(rates[:11])
    assert rates[10] == pytest.approx(0.9**0.9)
    assert rates[11] < rates[10]
