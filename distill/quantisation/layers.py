"""Convolution and linear layer that compute with int8 values, under the parameter names of the float ones."""

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill.quantisation.fake_quantise import fake_quantise, fake_quantise_weight, weight_scales
from distill.quantisation.histogram import Histogram
from distill.quantisation.traceable import quantise_dequantise


class ActivationQuantiser(nn.Module):
    """Puts a tensor on an int8 grid of one scale, in float32 whatever the autocast type."""

    log_scale: Tensor
    """() natural logarithm of the scale. Means nothing before a calibration or a checkpoint sets it."""

    def __init__(self, *, learns: bool) -> None:
        super().__init__()
        if learns:
            self.log_scale = nn.Parameter(torch.zeros(()))
        else:
            self.register_buffer("log_scale", torch.zeros(()))
        self.histogram: Histogram | None = None
        """While it is set, values are counted there and pass as they are."""
        self.constant_scale: Tensor | None = None
        """While it is set, it is the scale, (): a constant, for exporters."""

    def forward(self, values: Tensor) -> Tensor:
        if self.histogram is not None:
            self.histogram.add(values)
            return values
        if self.constant_scale is not None:
            constant: Tensor = quantise_dequantise(values, self.constant_scale)
            return constant
        return fake_quantise(values.float(), self.log_scale).to(values.dtype)


class QuantisedLayer:
    """What the two layers below add to torch's own."""

    constant_scales: Tensor | None = None
    """While it is set, it is the weight's scales: a constant, for exporters."""
    _per_channel: bool
    _quantiser: tuple[ActivationQuantiser]
    """Of what it reads. In a tuple, because the network registers it: readers of one tensor share it."""

    def scales_of(self, weight: Tensor) -> Tensor:
        """(out,), or () where one is for all; always what the weight gives now."""
        return weight_scales(weight, per_channel=self._per_channel)

    def _input_on_grid(self, values: Tensor) -> Tensor:
        quantised: Tensor = self._quantiser[0](values)
        return quantised

    def _weight_on_grid(self, weight: Tensor) -> Tensor:
        if self.constant_scales is not None:
            constant: Tensor = quantise_dequantise(weight, self.constant_scales)
            return constant
        return fake_quantise_weight(weight, self.scales_of(weight))


class QuantisedConv2d(QuantisedLayer, nn.Conv2d):
    """A convolution's parameters, with whatever grouping, dilation and padding it has."""

    @classmethod
    def of(cls, layer: nn.Conv2d, quantiser: ActivationQuantiser, *, per_channel: bool) -> Self:
        copy = cls(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,  # type: ignore[arg-type]  # torch declares tuples of any length
            layer.stride,  # type: ignore[arg-type]
            layer.padding,  # type: ignore[arg-type]
            layer.dilation,  # type: ignore[arg-type]
            layer.groups,
            bias=False,
            padding_mode=layer.padding_mode,
            device="meta",
        )
        copy.weight, copy.bias = layer.weight, layer.bias
        copy._quantiser, copy._per_channel = (quantiser,), per_channel
        return copy.train(layer.training)

    def forward(self, input: Tensor) -> Tensor:
        weight = self._weight_on_grid(self.weight)
        maps: Tensor = self._conv_forward(self._input_on_grid(input), weight, self.bias)
        return maps


class QuantisedLinear(QuantisedLayer, nn.Linear):
    """A linear layer's parameters."""

    @classmethod
    def of(cls, layer: nn.Linear, quantiser: ActivationQuantiser, *, per_channel: bool) -> Self:
        copy = cls(layer.in_features, layer.out_features, bias=False, device="meta")
        copy.weight, copy.bias = layer.weight, layer.bias
        copy._quantiser, copy._per_channel = (quantiser,), per_channel
        return copy.train(layer.training)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(self._input_on_grid(input), self._weight_on_grid(self.weight), self.bias)
