"""For exporters: all scales as constants, and one node of a trace for each fake quantisation."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from distill.quantisation.layers import ActivationQuantiser, QuantisedConv2d, QuantisedLinear


@contextmanager
def constant_scales(network: nn.Module) -> Iterator[None]:
    """While it lasts, scales are what weights and parameters give now. Does nothing to a float network."""
    quantisers = [module for module in network.modules() if isinstance(module, ActivationQuantiser)]
    layers = [m for m in network.modules() if isinstance(m, (QuantisedConv2d, QuantisedLinear))]
    for quantiser in quantisers:
        quantiser.constant_scale = quantiser.log_scale.detach().exp()
    for layer in layers:
        layer.constant_scales = layer.scales_of(layer.weight)
    try:
        yield
    finally:
        for quantiser in quantisers:
            quantiser.constant_scale = None
        for layer in layers:
            layer.constant_scales = None
