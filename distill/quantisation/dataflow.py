"""What one forward pass shows: which layers read the same tensor, which norm alone reads a convolution."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from distill.networks.output import SegNetwork

_SIDE = 64
"""Of the image that is sent through the network."""

_Value = tuple[int, int]
"""A tensor and how often it was changed in place: two readers of equal ones read the same numbers."""


@dataclass(frozen=True)
class Dataflow:
    """By names of modules; layers are those of which one pass in evaluation mode makes use."""

    readers: Mapping[str, str]
    """Convolution or linear layer, in order of use -> the first that reads the same tensor, or itself."""
    norms: Mapping[str, str]
    """Convolution -> the batch norm that reads its output, where nothing else does."""


def trace(network: SegNetwork) -> Dataflow:
    """Follow the tensors of one pass. Nothing in the network changes.

    Only layers count that compute as torch's own `nn.Conv2d` and `nn.Linear` do: one with a forward of its
    own (weight standardisation, padding computed on the way) is no plain product with its weight.
    """
    watch = _Watch()
    handles = [handle for name, module in network.named_modules() for handle in watch.attach(name, module)]
    was_training = network.training
    device = next(network.parameters()).device
    try:
        with torch.no_grad(), watch:
            network.eval()(torch.zeros(1, 3, _SIDE, _SIDE, device=device))
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    return watch.dataflow()


def is_plain(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether it is a `kind` that computes as `kind` does."""
    return isinstance(module, kind) and type(module).forward is kind.forward


class _Watch(TorchFunctionMode):
    """Counts the readers of every tensor while it is active; notes what attached modules read and give."""

    def __init__(self) -> None:
        super().__init__()
        self._alive: list[Tensor] = []  # an identity belongs to one tensor only as long as that lives
        self._readers: Counter[_Value] = Counter()
        self._inputs: dict[str, list[_Value]] = {}
        self._norm_inputs: dict[str, list[_Value]] = {}
        self._outputs: dict[str, list[_Value]] = {}

    def attach(self, name: str, module: nn.Module) -> Iterator[torch.utils.hooks.RemovableHandle]:
        if is_plain(module, nn.Conv2d):
            yield module.register_forward_pre_hook(self._note_input(name, self._inputs))
            yield module.register_forward_hook(self._note_output(name))
        elif is_plain(module, nn.Linear):
            yield module.register_forward_pre_hook(self._note_input(name, self._inputs))
        elif isinstance(module, nn.BatchNorm2d):
            yield module.register_forward_pre_hook(self._note_input(name, self._norm_inputs))

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        read = [self._value(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        result = func(*args, **(kwargs or {}))
        if any(
            isinstance(leaf, Tensor) for leaf in tree_leaves(result)
        ):  # who asks for a shape reads nothing
            self._readers.update(read)
        return result

    def dataflow(self) -> Dataflow:
        first: dict[tuple[_Value, ...], str] = {}
        readers = {name: first.setdefault(tuple(values), name) for name, values in self._inputs.items()}
        made_by = {values[0]: name for name, values in self._outputs.items() if len(values) == 1}
        norms = {
            made_by[values[0]]: name
            for name, values in self._norm_inputs.items()
            if len(values) == 1 and values[0] in made_by and self._readers[values[0]] == 1
        }
        return Dataflow(readers, norms)

    def _value(self, tensor: Tensor) -> _Value:
        self._alive.append(tensor)
        return id(tensor), tensor._version

    def _note_input(self, name: str, notes: dict[str, list[_Value]]) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            notes.setdefault(name, []).append(self._value(args[0]))

        return hook

    def _note_output(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            self._outputs.setdefault(name, []).append(self._value(output))

        return hook
