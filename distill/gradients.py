"""How strongly each loss term pulls at the student: the norm of the gradient that it sends into it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from distill.distributed import Processes


@dataclass
class GradientNorms:
    """L2 norms over all trained parameters of the student, of the steps measured since `forget`.

    One backward pass for each term. Nothing that training computes with is touched: no parameter's `grad`, no
    buffer, no random state.
    """

    student: nn.Module
    processes: Processes
    _sums: dict[str, Tensor] = field(default_factory=dict)
    _measured_steps: int = 0
    _begun: dict[str, Tensor] = field(default_factory=dict)
    """By term, the gradient of the parts of this step so far."""

    def measure(
        self, terms: Mapping[str, Tensor], *, part: int = 0, parts: int = 1, scale: float = 1.0
    ) -> None:
        """Add one of the `parts` of a step's batch, in order; the step's gradient is their mean.

        Every process must call this at the same steps: a norm is that of the whole batch's gradient.

        terms: () each, weighted, with the graph that they were computed by, which is kept.
        scale: terms are multiplied by it before their gradients are taken, and the norms divided by it.
        """
        shards = parts * self.processes.world_size
        for name, value in terms.items():
            gradient = self._begun.pop(name, 0) + self._gradient(value * scale)
            if part + 1 < parts:
                self._begun[name] = gradient
            else:
                norm = self.processes.sum(gradient).norm() / (shards * scale)
                self._sums[name] = self._sums.get(name, 0) + norm
        self._measured_steps += part + 1 == parts

    def means(self) -> dict[str, float]:
        """Mean norm of each term over the measured steps; empty where none was."""
        return {name: float(value) / self._measured_steps for name, value in self._sums.items()}

    def forget(self) -> None:
        self._sums, self._measured_steps = {}, 0

    def state(self) -> dict[str, Any]:
        return {"sums": self._sums, "measured_steps": self._measured_steps}

    def restore(self, state: Mapping[str, Any], device: torch.device) -> None:
        self._sums = {name: value.to(device) for name, value in state["sums"].items()}
        self._measured_steps = state["measured_steps"]

    def _gradient(self, value: Tensor) -> Tensor:
        """With respect to all parameters in a row, 0 for those that the term does not depend on."""
        trained = [parameter for parameter in self.student.parameters() if parameter.requires_grad]
        if not value.requires_grad:
            return torch.zeros(sum(parameter.numel() for parameter in trained), device=value.device)
        gradients = torch.autograd.grad(value, trained, retain_graph=True, materialize_grads=True)
        return torch.cat([gradient.flatten() for gradient in gradients])
