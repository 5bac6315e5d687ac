"""Bytes of tensors that are alive at once, counted while code runs."""

from typing import Any

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode


class LiveMemory(TorchFunctionMode):
    """Counts what Python's calls make while it is on; what an operator uses inside itself is not seen."""

    def __init__(self) -> None:
        super().__init__()
        self.peak_bytes = 0
        self._given: dict[int, StorageWeakRef] = {}
        self._made: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._given = {key: reference for key, reference in self._given.items() if not reference.expired()}
        self._made = {key: entry for key, entry in self._made.items() if not entry[0].expired()}
        for tensor in _tensors((args, kwargs)):
            reference = StorageWeakRef(tensor.untyped_storage())
            if reference.cdata not in self._made:
                self._given[reference.cdata] = reference
        result = func(*args, **(kwargs or {}))
        for tensor in _tensors(result):
            reference = StorageWeakRef(tensor.untyped_storage())
            if reference.cdata not in self._given:
                self._made[reference.cdata] = (reference, tensor.untyped_storage().nbytes())
        self.peak_bytes = max(self.peak_bytes, sum(size for _, size in self._made.values()))
        return result


def _tensors(tree: Any) -> list[Tensor]:
    if isinstance(tree, Tensor):
        return [tree]
    if isinstance(tree, dict):
        tree = tree.values()
    elif not isinstance(tree, (tuple, list)):
        return []
    return [tensor for leaf in tree for tensor in _tensors(leaf)]
