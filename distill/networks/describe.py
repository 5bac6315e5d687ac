"""What networks cost and what can be distilled from them: parameters, operations, features."""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import asdict
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from distill.networks import NETWORKS, build_network
from distill.networks.output import SegNetwork

_NUM_CLASSES = 19
"""Cityscapes; what published counts refer to."""


def describe(network: SegNetwork, size: tuple[int, int]) -> dict[str, Any]:
    """`parameters`, `macs` of one image (height, width) and `features` (name to channels and stride).

    A MAC is one multiplication with addition; those of convolutions and matrix products count.
    """
    return {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "macs": _count_macs(network, size),
        "features": {name: asdict(info) for name, info in network.feature_info.items()},
    }


def list_networks(
    size: tuple[int, int] = (512, 1024), names: Iterable[str] | None = None, num_classes: int = _NUM_CLASSES
) -> list[dict[str, Any]]:
    """`describe` for each name, with `name` and `size` added; None: every published network."""
    chosen = list(names or ()) or [name for name in NETWORKS if name != "smp"]
    return [
        {"name": name, "size": list(size), **describe(build_network(name, num_classes), size)}
        for name in chosen
    ]


def _count_macs(network: SegNetwork, size: tuple[int, int]) -> int:
    """On a copy without data (meta device), of which only shapes are followed."""
    shapes_only = deepcopy(network).to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        shapes_only(torch.zeros(1, 3, *size, device="meta"))
    return int(counter.get_total_flops()) // 2
