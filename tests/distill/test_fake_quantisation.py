"""Fake quantisation against its definition, written slowly."""

import numpy as np
import pytest
import torch

from distill.quantisation.calibrators import CALIBRATORS
from distill.quantisation.fake_quantise import fake_quantise, fake_quantise_weight, weight_scales
from distill.quantisation.histogram import BINS, Histogram
from distill.quantisation.layers import ActivationQuantiser
from distill.quantisation.traceable import quantise_dequantise

SCALE = 0.1
CLIPPED_BELOW, CLIPPED_ABOVE = -128 * SCALE, 127 * SCALE
ROUNDING = 1e-5
"""float32 against float64."""
GENERATOR = np.random.default_rng(0)


@pytest.fixture
def values() -> torch.Tensor:
    """(2, 3, 8, 8): a tenth of them is clipped at either end."""
    return torch.from_numpy(GENERATOR.normal(0, 8, (2, 3, 8, 8)).astype(np.float32))


def on_grid(values: np.ndarray, scale: float) -> np.ndarray:
    return np.clip(np.rint(values.astype(np.float64) / scale), -128, 127) * scale


def log_of(scale: float) -> torch.Tensor:
    return torch.tensor(scale).log().requires_grad_()


def test_values_go_to_the_nearest_step_of_the_scale_and_stop_at_int8s_ends(values: torch.Tensor):
    found = fake_quantise(values, log_of(SCALE)).detach().numpy()
    np.testing.assert_allclose(found, on_grid(values.numpy(), SCALE), atol=ROUNDING)
    assert found.min() == pytest.approx(CLIPPED_BELOW)
    assert found.max() == pytest.approx(CLIPPED_ABOVE)


def test_the_gradient_passes_where_nothing_is_clipped_and_nowhere_else(values: torch.Tensor):
    upstream = torch.randn(values.shape)
    values.requires_grad_()
    fake_quantise(values, log_of(SCALE)).backward(upstream)
    steps = np.rint(values.detach().numpy() / SCALE)
    inside = (steps >= -128) & (steps <= 127)
    assert 0 < inside.mean() < 1
    np.testing.assert_array_equal(values.grad.numpy(), upstream.numpy() * inside)


def test_the_scale_moves_as_in_learned_step_size_quantisation(
    values: torch.Tensor,
):
    upstream = torch.randn(values.shape)
    log_scale = log_of(SCALE)
    fake_quantise(values, log_scale).backward(upstream)
    expected = 0.0
    for value, weight in zip(values.flatten().tolist(), upstream.flatten().tolist(), strict=True):
        step = value / SCALE
        slope = min(max(round(step), -128), 127) - (step if -128 <= round(step) <= 127 else 0)
        expected += weight * slope
    expected /= np.sqrt(values[0].numel() * 127)
    expected /= SCALE  # d log(s) = ds / s
    assert log_scale.grad.item() == pytest.approx(expected, rel=1e-4)


def test_a_weight_has_a_scale_for_each_output_channel_and_none_of_it_is_clipped():
    weight = torch.randn(5, 3, 2, 2) * torch.tensor([0.01, 1.0, 100.0, 1.0, 0.0]).view(-1, 1, 1, 1)
    found = fake_quantise_weight(weight, weight_scales(weight)).numpy()
    for channel, kernel in zip(found, weight.numpy(), strict=True):
        largest = np.abs(kernel).max()
        expected = on_grid(kernel, largest / 127) if largest else np.zeros_like(kernel)
        np.testing.assert_allclose(channel, expected, rtol=1e-5, atol=1e-6 * largest)


def test_gradients_reach_the_whole_weight():
    weight = torch.randn(4, 3, requires_grad=True)
    fake_quantise_weight(weight, weight_scales(weight)).sum().backward()
    torch.testing.assert_close(weight.grad, torch.ones(4, 3))


def test_what_exporters_trace_computes_what_was_trained(values: torch.Tensor):
    weight = torch.randn(4, 3, 3, 3)
    torch.testing.assert_close(
        quantise_dequantise(values, torch.tensor(SCALE)), fake_quantise(values, log_of(SCALE)).detach()
    )
    scales = weight_scales(weight)
    torch.testing.assert_close(quantise_dequantise(weight, scales), fake_quantise_weight(weight, scales))


def test_half_precision_activations_are_quantised_in_float32(values: torch.Tensor):
    quantiser = ActivationQuantiser(learns=True)
    with torch.no_grad():
        quantiser.log_scale.copy_(log_of(SCALE))
    half = values.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = quantiser(half)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, fake_quantise(half.float(), log_of(SCALE)).bfloat16(), rtol=0, atol=0)


def histogram_of(*batches: np.ndarray) -> Histogram:
    histogram = Histogram()
    for batch in batches:
        histogram.add(torch.from_numpy(batch.astype(np.float32)))
    return histogram


def test_a_histogram_that_had_to_grow_holds_what_one_over_everything_does():
    batches = [GENERATOR.normal(0, deviation, 4000) for deviation in (0.0, 0.1, 3.0, 0.5)]
    histogram = histogram_of(*batches)
    edges = np.arange(BINS + 1) * histogram.width
    expected, _ = np.histogram(np.abs(np.concatenate(batches)).astype(np.float32), edges)
    assert np.abs(histogram.counts.numpy() - expected).sum() <= 4  # values on an edge
    assert histogram.largest == pytest.approx(np.abs(np.concatenate(batches)).max())


@pytest.mark.parametrize("calibrator", CALIBRATORS)
def test_no_calibrator_goes_beyond_the_largest_value(calibrator: str):
    values = GENERATOR.normal(0, 1, 20_000)
    assert 0 < CALIBRATORS[calibrator](histogram_of(values)) <= np.abs(values).max() * (1 + ROUNDING)


def test_minmax_clips_nothing():
    assert CALIBRATORS["minmax"](histogram_of(np.array([-7.0, 3.0]))) == 7.0


def test_percentile_clips_one_value_in_ten_thousand():
    values = np.concatenate([GENERATOR.uniform(0, 1, 99_999), [50.0]])
    assert CALIBRATORS["percentile"](histogram_of(values)) < 1.1


def test_mse_clips_an_outlier_where_that_costs_less_than_coarse_steps():
    values = np.append(GENERATOR.normal(0, 1, 100_000), 60.0)
    threshold = CALIBRATORS["mse"](histogram_of(values))

    def error(largest: float) -> float:
        return float(np.square(on_grid(values, largest / 127) - values).sum())

    assert error(threshold) < 0.7 * error(60.0)
    assert error(threshold) <= 1.01 * min(error(largest) for largest in np.linspace(2, 60, 200))


def test_entropy_keeps_evenly_spread_values_and_clips_a_lonely_one():
    assert CALIBRATORS["entropy"](histogram_of(GENERATOR.uniform(0, 1, 100_000))) > 0.95
    assert CALIBRATORS["entropy"](histogram_of(np.append(GENERATOR.normal(0, 1, 100_000), 60.0))) < 10
