"""LARS: SGD with momentum whose step is scaled, matrix by matrix, to the length of the weights.

Source: You et al., "Large Batch Training of Convolutional Networks", 2017, in the form that self-supervised
learning uses (BYOL, MoCo v3): norms and biases are excluded from the scaling and from weight decay.
"""

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class Lars(Optimizer):
    """For each weight w with gradient g, learning rate l, decay d, momentum m and trust t:

        u = g + d w;   u = t |w| / |u| * u  (where both lengths are above 0);   v = m v + u;   w = w - l v

    Tensors of one dimension (norms, biases) and single numbers take u = g.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 1e-5,
        trust: float = 1e-3,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust}
        super().__init__(parameters, defaults)

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every parameter that has a gradient. A closure is not supported: nothing asks for one."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return None

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        update = gradient
        if parameter.ndim > 1:
            update = gradient + group["weight_decay"] * parameter
            length, update_length = parameter.norm(), update.norm()
            is_scaled = (length > 0) & (update_length > 0)
            update = update * torch.where(is_scaled, group["trust"] * length / update_length, 1.0)
        state = self.state[parameter]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(parameter)
        velocity: Tensor = state["velocity"]
        velocity.mul_(group["momentum"]).add_(update)
        parameter.sub_(group["lr"] * velocity)
