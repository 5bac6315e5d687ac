"""Rebuild the projection head that self-supervised training leaves in its checkpoint."""

from collections import defaultdict
from collections.abc import Mapping

from torch import Tensor, nn

from modelpack.errors import CheckpointError


def read_head(state: Mapping[str, Tensor], prefix: str) -> nn.Sequential:
    """The head whose layers are `PREFIX.0`, `PREFIX.1`, ... in a state dict, weights and all, for evaluation.

    Matrices are linear layers, stored statistics norms, and numbers without tensors ReLUs: how MoCo v3, BYOL,
    SwAV and Barlow Twins keep theirs. Raises CheckpointError where nothing lies there, or something else.
    """
    layers: dict[int, dict[str, Tensor]] = defaultdict(dict)
    start = prefix.rstrip(".") + "."
    for name, tensor in state.items():
        number, dot, attribute = name.removeprefix(start).partition(".")
        if name.startswith(start) and dot and number.isdigit():
            layers[int(number)][attribute] = tensor
    if not layers:
        groups = sorted({name.rpartition(".")[0] for name in state if state[name].ndim == 2})
        raise CheckpointError(
            f"the weights hold no layers {start}0, {start}1, ... for teacher.head. Matrices are in: "
            f"{', '.join(groups) or 'nothing'}."
        )
    head = nn.Sequential(*(_layer(layers[number], f"{start}{number}") for number in range(max(layers) + 1)))
    return head.eval()


def _layer(state: Mapping[str, Tensor], name: str) -> nn.Module:
    if not state:
        return nn.ReLU()
    layer: nn.Module
    if "running_mean" in state:
        layer = nn.BatchNorm1d(len(state["running_mean"]), affine="weight" in state)
    elif "weight" in state and state["weight"].ndim == 2:
        width, channels = state["weight"].shape
        layer = nn.Linear(channels, width, bias="bias" in state)
    else:
        held = ", ".join(state)
        raise CheckpointError(f"teacher.head: {name} ({held}) is neither a linear layer nor a norm.")
    layer.load_state_dict(dict(state), strict="num_batches_tracked" in state or isinstance(layer, nn.Linear))
    return layer
