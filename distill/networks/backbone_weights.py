"""Load a file of backbone weights (usually ImageNet's) into the backbone of a network."""

import logging
import re
from pathlib import Path
from typing import Literal

from torch import nn

from distill.networks.output import SegNetwork
from distill.weights import (
    State,
    is_backbone_file,
    load_into,
    load_weights,
    read_state,
    some,
    weights_file,
)

Weights = Literal["imagenet"] | Path | None
"""What a backbone starts from: public ImageNet weights, a file, noise."""

_PREFIXES = ("pretrained.", "encoder.", "backbone.")
"""How networks name their backbone; taken off where the whole file has it."""

_log = logging.getLogger(__name__)


def load_backbone(backbone: nn.Module, path: Path) -> None:
    """Fill `backbone` in place. What it has no place for (the image classifier: `fc.weight`, ...) is logged.

    Raises CheckpointError where the file cannot be read, or lacks a tensor or has it in another shape.
    """
    own = backbone.state_dict().keys()
    state: State = {}
    not_used = []
    for name, tensor in _without_prefix(read_state(path)).items():
        if (target := next((key for key in _spellings(name) if key in own), None)) is not None:
            state[target] = tensor
        else:
            not_used.append(name)
    load_into(backbone, state, path)
    if not_used:
        _log.info("%s: not loaded, the network has no use for them: %s", path, some(not_used))


def load_start(network: SegNetwork, path: Path) -> None:
    """Fill `network` from weights of the whole, or only its backbone from what pre-training left at `path`.

    Raises CheckpointError where they are of another network.
    """
    file = weights_file(path)
    if not is_backbone_file(file):
        load_weights(network, file)
        return
    backbone = network.backbone_part()
    load_backbone(backbone, file)
    parts = (len(list(backbone.parameters())), len(list(network.parameters())))
    _log.info("%s: a pre-trained backbone, %d of %d tensors; the rest starts from noise", file, *parts)


def _without_prefix(state: State) -> State:
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in state):
            return {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _spellings(name: str) -> tuple[str, str, str]:
    """A name as it is, as smp keeps timm's models, and with timm's `stages_0.` for `stages.0.` in those."""
    return name, f"model.{name}", "model." + re.sub(r"^(\w+)\.(\d+)\.", r"\1_\2.", name)
