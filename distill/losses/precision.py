"""Losses sum millions of squares and divide distances by 0.07: too much for half precision."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def widen(tensor: Tensor) -> Tensor:
    """float32 of any narrower type; float64 stays what it is."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def outside_autocast(
    loss: Callable[Concatenate[Tensor, P], R],
) -> Callable[Concatenate[Tensor, P], R]:
    """Decorator: autocast is off, on the device of the first argument, while the function runs."""

    @wraps(loss)
    def call(first: Tensor, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with torch.autocast(device_type=first.device.type, enabled=False):
            return loss(first, *args, **kwargs)

    return call
