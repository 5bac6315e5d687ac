"""Fake quantisation as an operator of our own: dynamo cannot trace torch's, which has no form for shapes."""

import torch
from torch import Tensor

from distill.quantisation.fake_quantise import fake_quantise_weight


@torch.library.custom_op("afdcd::quantise_dequantise", mutates_args=())
def quantise_dequantise(values: Tensor, scales: Tensor) -> Tensor:
    """values: float32, on the int8 grid of `scales`: () for the whole tensor, (n,) by the first dimension.

    In a trace it stays one node, for exporters to translate into QuantizeLinear and DequantizeLinear.
    """
    return fake_quantise_weight(values, scales)


@quantise_dequantise.register_fake
def _shape_of_the_values(values: Tensor, scales: Tensor) -> Tensor:
    return torch.empty_like(values)


OPERATOR = torch.ops.afdcd.quantise_dequantise.default
"""As a trace holds it."""
