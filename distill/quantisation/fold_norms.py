"""Fold batch norms into the convolutions before them: what is trained is then what is exported."""

from collections.abc import Mapping

import torch
from torch import nn


def fold_norms(network: nn.Module, norms: Mapping[str, str]) -> None:
    """Give the convolutions the scale and shift of their norms' statistics, in place; the norms are gone.

    norms: convolution -> batch norm, by name. A norm without statistics, or with a forward of its own, stays.
    The network's answers in evaluation mode stay the same up to rounding.
    """
    modules = dict(network.named_modules())
    for convolution_name, norm_name in norms.items():
        norm = modules[norm_name]
        if isinstance(norm, nn.BatchNorm2d) and _can_fold(norm):
            _fold(modules[convolution_name], norm)
            replace_module(network, norm_name, _rest_of(norm))


def replace_module(network: nn.Module, name: str, new: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, new)


def _can_fold(norm: nn.BatchNorm2d) -> bool:
    is_plain = type(norm).forward is nn.BatchNorm2d.forward
    return norm.running_var is not None and (is_plain or bool(_own_activation(norm)))


def _own_activation(norm: nn.BatchNorm2d) -> list[nn.Module]:
    """Dropout and activation of timm's batch norm, which ends with them; nothing for torch's."""
    inner = (getattr(norm, "drop", None), getattr(norm, "act", None))
    return [module for module in inner if isinstance(module, nn.Module)]


def _rest_of(norm: nn.BatchNorm2d) -> nn.Module:
    """What the norm module does after norming."""
    inner = _own_activation(norm)
    return nn.Sequential(*inner) if inner else nn.Identity()


@torch.no_grad()
def _fold(convolution: nn.Module, norm: nn.BatchNorm2d) -> None:
    assert isinstance(convolution, nn.Conv2d)
    assert norm.running_var is not None
    assert norm.running_mean is not None
    slope = torch.rsqrt(norm.running_var + norm.eps)
    if norm.weight is not None:
        slope = slope * norm.weight
    shift = -norm.running_mean if convolution.bias is None else convolution.bias - norm.running_mean
    bias = shift * slope if norm.bias is None else shift * slope + norm.bias
    convolution.weight.mul_(slope.view(-1, 1, 1, 1))
    convolution.bias = nn.Parameter(bias.clone())
