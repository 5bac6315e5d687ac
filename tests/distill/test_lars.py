"""LARS is its formula, with norms and biases left out of scaling and decay."""

import math
from copy import deepcopy

import pytest
import torch
from torch import nn

from distill.pretrain.lars import Lars
from distill.schedule import cosine_lr

LR, MOMENTUM, DECAY, TRUST = 0.5, 0.9, 0.1, 0.02


def optimiser(*parameters):
    return Lars(parameters, lr=LR, momentum=MOMENTUM, weight_decay=DECAY, trust=TRUST)


def test_two_steps_on_a_matrix_follow_the_formula():
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(3, 4, dtype=torch.float64))
    gradients = [torch.randn(3, 4, dtype=torch.float64) for _ in range(2)]
    expected, velocity = weight.detach().clone(), torch.zeros(3, 4, dtype=torch.float64)
    lars = optimiser(weight)
    for gradient in gradients:
        update = gradient + DECAY * expected
        velocity = MOMENTUM * velocity + TRUST * expected.norm() / update.norm() * update
        expected = expected - LR * velocity
        weight.grad = gradient.clone()
        lars.step()
        torch.testing.assert_close(weight.detach(), expected)


def test_a_bias_takes_plain_momentum_steps():
    bias = nn.Parameter(torch.tensor([1.0, -2.0]))
    bias.grad = torch.tensor([0.5, 0.25])
    optimiser(bias).step()
    torch.testing.assert_close(bias.detach(), torch.tensor([1.0 - LR * 0.5, -2.0 - LR * 0.25]))


def test_weights_of_length_zero_take_the_step_unscaled():
    weight = nn.Parameter(torch.zeros(2, 2))
    weight.grad = torch.ones(2, 2)
    optimiser(weight).step()
    torch.testing.assert_close(weight.detach(), torch.full((2, 2), -LR))


def test_a_restored_state_goes_on_as_if_nothing_had_happened():
    weights = [nn.Parameter(torch.ones(2, 2)) for _ in range(2)]
    first = optimiser(weights[0])
    for step in range(3):
        if step == 2:
            second = optimiser(weights[1])
            second.load_state_dict(deepcopy(first.state_dict()))
            weights[1].data.copy_(weights[0].data)
        weights[0].grad = torch.full((2, 2), float(step + 1))
        first.step()
    weights[1].grad = torch.full((2, 2), 3.0)
    second.step()
    assert torch.equal(weights[0], weights[1])


def test_the_cosine_rises_to_its_peak_and_ends_near_zero():
    rates = [cosine_lr(step, peak=2.0, steps=10, warmup_steps=2) for step in range(10)]
    assert rates[:3] == pytest.approx([2 / 3, 4 / 3, 2.0])
    assert rates[6] == pytest.approx(1.0)
    assert rates[9] == pytest.approx(1 + math.cos(math.pi * 7 / 8))
