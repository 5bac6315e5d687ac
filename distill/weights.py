"""Weights on disk: our own safetensors, and PyTorch checkpoints, read without running their code."""

import logging
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from distill.networks.output import SegNetwork
from modelpack.atomic import write_bytes
from modelpack.errors import CheckpointError

STUDENT_FILE = "student.safetensors"
"""The finished network in a training run's folder."""
BACKBONE_FILE = "backbone.safetensors"
"""What pre-training leaves in its folder: the backbone alone."""
_BACKBONE_METADATA = {"format": "pt", "part": "backbone"}

_WRAPPERS = ("state_dict", "model")
"""Keys under which other people's training code keeps the state dict."""
_PARALLEL_PREFIX = "module."
_COUNTER = "num_batches_tracked"
"""Norm layers' step counters: absent from old checkpoints, and used by nothing."""
_SCALE = ".log_scale"
"""Ends the names of what only a quantised network has."""
_SHOWN_KEYS = 4
_UNREADABLE = (
    pickle.UnpicklingError, EOFError, OSError,
    RuntimeError, ValueError, LookupError, AttributeError, TypeError,
)  # fmt: skip
"""What `torch.load` raises, depending on the byte that is wrong."""

_log = logging.getLogger(__name__)

State = dict[str, Tensor]


def load_weights(network: SegNetwork, path: Path) -> None:
    """Fill the whole network, in place, from a training run's folder, a .safetensors or a .pth file.

    Raises CheckpointError for a missing or damaged file and for weights of another network or class count.
    """
    file = weights_file(path)
    if is_backbone_file(file):
        raise CheckpointError(
            f"weights {file} are of a backbone alone, as pre-training leaves it, and a whole network is "
            "wanted here. They can start a student: student.init=FOLDER."
        )
    state = read_state(file)
    _check_class_count(network, state, file)
    _check_quantisation(network, state, file)
    load_into(network, state, file)


def save_weights(network: nn.Module, path: Path) -> None:
    """Write every parameter and buffer as safetensors, whole or not at all."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    write_bytes(path, safetensors.torch.save(state, metadata={"format": "pt"}))


def read_state(path: Path) -> State:
    """The state dict in a .safetensors or PyTorch file, without wrappers and the prefix of parallel training.

    Raises CheckpointError where the file is missing, damaged, not a state dict, or holds NaN or infinity.
    """
    if not path.is_file():
        raise CheckpointError(
            f"weights {path} do not exist. Give a training run's folder, a .safetensors or a .pth file."
        )
    try:
        if path.suffix == ".safetensors":
            content: Any = safetensors.torch.load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise CheckpointError(
            f"weights {path} are damaged or not safetensors ({error}); copy or write them again."
        ) from error
    except _UNREADABLE as error:
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise CheckpointError(
            f"weights {path} are damaged, or hold more than tensors, which is not run "
            f"({type(error).__name__}: {reason}). Copy them again, or save the bare state dict."
        ) from error
    state = _unwrap(content, path)
    broken = [
        name for name, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()
    ]
    if broken:
        raise CheckpointError(
            f"weights {path} hold NaN or infinity in {some(broken)}; that training had diverged."
        )
    return state


def load_into(module: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Copy `state` into `module`. Raises CheckpointError that lists names and shapes that do not fit."""
    own = module.state_dict()
    missing = [name for name in own if name not in state and not name.endswith(_COUNTER)]
    left_over = [name for name in state if name not in own]
    reshaped = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in state and state[name].shape != tensor.shape
    ]
    if missing or left_over or reshaped:
        found = (("missing", missing), ("left over", left_over), ("of another shape", reshaped))
        parts = [f"{len(names)} {what}: {some(names)}" for what, names in found if names]
        raise CheckpointError(
            f"weights {path} are not those of this network ({len(own)} entries). {'; '.join(parts)}. "
            f"Check that `network` and its options are the ones that the file was made with."
        )
    module.load_state_dict(state, strict=False)
    _log.debug("loaded %d tensors from %s", len(state), path)


def save_backbone(backbone: nn.Module, path: Path) -> None:
    """Write a network's `backbone_part`, marked as one, whole or not at all."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in backbone.state_dict().items()}
    write_bytes(path, safetensors.torch.save(state, metadata=_BACKBONE_METADATA))


def is_backbone_file(file: Path) -> bool:
    """Whether `file` was written by `save_backbone`."""
    if file.suffix != ".safetensors" or not file.is_file():
        return False
    try:
        with safetensors.safe_open(file, framework="pt") as content:
            return dict(content.metadata() or {}) == _BACKBONE_METADATA
    except SafetensorError:
        return False  # `read_state` says what is wrong with it


def weights_file(path: Path) -> Path:
    """The file that is meant: `path`, or the weights in the folder of training or pre-training that it is."""
    if not path.is_dir():
        return path
    if (path / BACKBONE_FILE).is_file():
        return path / BACKBONE_FILE
    if not (path / STUDENT_FILE).is_file():
        raise CheckpointError(
            f"{path} is not the folder of a finished training run: it has no {STUDENT_FILE}."
        )
    return path / STUDENT_FILE


def _unwrap(content: Any, path: Path) -> State:
    for key in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    is_state = isinstance(content, dict) and content and all(isinstance(v, Tensor) for v in content.values())
    if not is_state:
        raise CheckpointError(f"weights {path} hold no state dict (names to tensors), but {_kind(content)}.")
    state: State = dict(content)
    if all(name.startswith(_PARALLEL_PREFIX) for name in state):
        state = {name.removeprefix(_PARALLEL_PREFIX): tensor for name, tensor in state.items()}
    return state


def _check_class_count(network: SegNetwork, state: State, path: Path) -> None:
    """A network that differs in its classifiers alone gets a sentence of its own."""
    own = network.state_dict()
    differing = [name for name in own if name in state and state[name].shape != own[name].shape]
    if not differing or own.keys() != state.keys():
        return
    counts = {state[name].shape[0] for name in differing if state[name].shape[1:] == own[name].shape[1:]}
    if len(counts) == 1 and all(own[name].shape[0] == network.num_classes for name in differing):
        raise CheckpointError(
            f"weights {path} are for {counts.pop()} classes, the network has {network.num_classes}. "
            f"Use the dataset that they were trained on, or train this network without them."
        )


def _check_quantisation(network: SegNetwork, state: State, path: Path) -> None:
    """A float network has no place for the scales of one that was trained with int8 values."""
    if any(map(_is_scale, state)) and not any(map(_is_scale, network.state_dict())):
        raise CheckpointError(
            f"weights {path} are of a quantised student, whose norms are folded and whose values are int8. "
            "Give those of the float run that it started from (`started_from` in its result.json)."
        )


def _is_scale(name: str) -> bool:
    return name.endswith(_SCALE)


def _kind(content: Any) -> str:
    if isinstance(content, dict):
        return f"a dictionary with {some(map(str, content))}" if content else "an empty dictionary"
    return f"a {type(content).__name__}"


def some(names: Iterable[str]) -> str:
    """The first few names and how many more there are."""
    listed = list(names)
    more = f", ... {len(listed) - _SHOWN_KEYS} more" if len(listed) > _SHOWN_KEYS else ""
    return ", ".join(listed[:_SHOWN_KEYS]) + more
