"""An exponential moving average of a network's weights and norm statistics."""

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


class Average(AveragedModel):
    """torch's, with the same state and bits, without its questions to the device in every update."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__(network, use_buffers=True)
        self.decay = decay
        self._has_begun: bool | None = None

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """The first update takes the weights as they are."""
        if self._has_begun is None:
            self._has_begun = bool(self.n_averaged > 0)  # also right for a state that was loaded
        floats: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
        for average, current in zip(_tensors(self.module), _tensors(model), strict=True):
            if not self._has_begun:
                average.copy_(current)
            elif average.is_floating_point():
                floats[0].append(average)
                floats[1].append(current)
            else:
                average.copy_(average * self.decay + current * (1 - self.decay))
        if floats[0]:
            torch._foreach_lerp_(*floats, 1 - self.decay)
        self._has_begun = True
        self.n_averaged += 1


def _tensors(module: nn.Module) -> list[torch.Tensor]:
    return [tensor.detach() for tensor in (*module.parameters(), *module.buffers())]
