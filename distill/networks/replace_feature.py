"""Let a network go on with another tensor in the place of one of its features."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from distill.networks.output import SegNetwork
from modelpack.errors import SettingsError


def module_of_feature(network: SegNetwork, name: str, images: Tensor) -> nn.Module:
    """The module whose output is the feature `name`; of several, the last to finish.

    images: (N, 3, H, W), normalised; looked at in one forward pass without gradient.
    Raises SettingsError where the feature is computed outside of any module.
    """
    finished: list[tuple[nn.Module, Any]] = []

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        finished.append((module, output))

    handles = [module.register_forward_hook(note) for module in network.modules() if module is not network]
    try:
        with torch.no_grad():
            feature = network(images).feature(name)
    finally:
        for handle in handles:
            handle.remove()
    found = [module for module, output in finished if output is feature]
    if not found:
        raise SettingsError(
            f"the network's feature {name} is the output of none of its layers, so nothing can stand in for "
            "it. Choose another feature (afdcd distill list networks)."
        )
    return found[-1]


@contextmanager
def feature_replaced(module: nn.Module, replacement: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Within it, what `module` returns is replaced by what `replacement` makes of it."""
    handle = module.register_forward_hook(lambda module, inputs, output: replacement(output))
    try:
        yield
    finally:
        handle.remove()
