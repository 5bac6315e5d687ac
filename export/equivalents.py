"""Modules that are exported as others, which give the same values and which runtimes run faster."""

import copy
from collections.abc import Callable

from segmentation_models_pytorch.decoders.fpn.decoder import MergeBlock
from torch import Tensor, nn

from distill.networks.output import SegNetwork


class Sum(nn.Module):
    """The sum of equally large maps, one addition after the other."""

    def forward(self, maps: list[Tensor]) -> Tensor:
        total = maps[0]
        for other in maps[1:]:
            total = total + other
        return total


def _of_group_norm(norm: nn.GroupNorm) -> nn.Module | None:
    """With a group for each channel it is instance normalisation: one node, which keeps the memory format.

    Exported as it is, it becomes seven that force every runtime back to planar maps.
    """
    if norm.num_groups != norm.num_channels or not norm.affine:
        return None
    instance_norm = nn.InstanceNorm2d(norm.num_channels, norm.eps, affine=True)
    instance_norm.load_state_dict(norm.state_dict())
    return instance_norm


def _of_merge_block(block: MergeBlock) -> nn.Module | None:
    """The original stacks the maps before it adds them, which copies each of them once more."""
    return Sum() if block.policy == "add" else None


EQUIVALENTS: dict[type[nn.Module], Callable[..., nn.Module | None]] = {
    nn.GroupNorm: _of_group_norm,
    MergeBlock: _of_merge_block,
}
"""Type of a module -> what gives its equivalent, or None where this one has none."""


def in_fast_form(network: SegNetwork) -> SegNetwork:
    """A copy of the network with equivalents in place; the network itself is left alone.

    Values differ by rounding alone: additions in another order.
    """
    copied = copy.deepcopy(network)
    for parent in list(copied.modules()):
        for name, child in list(parent.named_children()):
            make = EQUIVALENTS.get(type(child))
            equivalent = make(child) if make is not None else None
            if equivalent is not None:
                setattr(parent, name, equivalent.train(child.training))
    return copied
