"""Notice when the backward pass comes by: functions of tensors that change nothing and call back.

Autograd runs the latest made of the nodes that are ready. So what was computed between two edges is
differentiated between the same two, and nothing else is.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

TreeT = TypeVar("TreeT")


def with_edge(tree: TreeT, on_backward: Callable[[], None]) -> tuple[TreeT, bool]:
    """The same values, and whether any of them receives a gradient.

    tree: tensors, also within lists, tuples, mappings and dataclasses.
    on_backward: called once in a backward pass, when the gradients of all of these tensors are complete.
    """
    found: dict[int, Tensor] = {}

    def find(tensor: Tensor) -> Tensor:
        return found.setdefault(id(tensor), tensor)

    _mapped(tree, find)
    if not found:
        return tree, False
    passed = dict(zip(found, _Edge.apply(on_backward, *found.values()), strict=True))
    return _mapped(tree, lambda tensor: passed[id(tensor)]), True


class _Edge(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, on_backward: Callable[[], None], *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.on_backward = on_backward
        ctx.set_materialize_grads(False)
        return tuple(tensor.view_as(tensor) for tensor in tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        ctx.on_backward()
        return None, *gradients


def _mapped(tree: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """`tree` with every tensor changed that can receive a gradient."""
    if isinstance(tree, Tensor):
        return change(tree) if tree.requires_grad and torch.is_grad_enabled() else tree
    if isinstance(tree, Mapping):
        return {key: _mapped(value, change) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        values = [_mapped(value, change) for value in tree]
        is_named = hasattr(tree, "_fields")
        return type(tree)(*values) if is_named else type(tree)(values)
    if is_dataclass(tree) and not isinstance(tree, type):
        changed = {field.name: _mapped(getattr(tree, field.name), change) for field in fields(tree)}
        return replace(tree, **changed)
    return tree
