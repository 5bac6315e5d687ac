"""What can be read off an ONNX file without running it: NaN, chance, and what is not the exported graph's.

A rule that leaves int8 its noise cannot see every small change. Rounding, however, changes neither how a
graph resizes nor any kernel by more than its step.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from export.kernels import kernels

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
OF_CHANCE = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
RULES: dict[str, dict[str, Any]] = {
    "ArgMax": {"axis": 0, "select_last_index": 0},
    "Resize": {
        "coordinate_transformation_mode": b"half_pixel",
        "mode": b"nearest",
        "nearest_mode": b"round_prefer_floor",
        "antialias": 0,
    },
}
"""Operators and those of their attributes that no conversion has a reason to change, with ONNX's defaults."""
MAX_KERNEL_ERROR = 0.05
"""Root mean square of a kernel's errors, as a share of that of its values; 8 bits cost about a hundredth."""
_INT8_STEPS = 127


def graph_faults(model: onnx.ModelProto, exported: onnx.ModelProto) -> Iterator[str]:
    """One sentence for each kind of fault. `exported`: the float32 graph that this one was made from."""
    spoilt = [entry.name for entry in model.graph.initializer if _has_nan(entry)]
    if spoilt:
        yield f"{len(spoilt)} of its constants hold NaN, first {spoilt[0]}"
    random = [node.name for node in model.graph.node if node.op_type in OF_CHANCE]
    if random:
        yield f"it draws random numbers ({', '.join(random)})"
    yield from _other_tensors(model, exported)
    yield from _other_rules(model, exported)
    yield from _other_kernels(model, exported)


def _has_nan(entry: TensorProto) -> bool:
    return entry.data_type in FLOATS and bool(np.isnan(numpy_helper.to_array(entry)).any())


def _other_tensors(model: onnx.ModelProto, exported: onnx.ModelProto) -> Iterator[str]:
    """Inputs and outputs by name and type, in their order: what a consumer asks for."""
    found, due = (
        [f"{value.name} {_type_name(value)}" for value in (*graph.input, *graph.output)]
        for graph in (model.graph, exported.graph)
    )
    if found != due:
        yield f"its inputs and outputs are {', '.join(found)} where the exported graph has {', '.join(due)}"


def _type_name(value: onnx.ValueInfoProto) -> str:
    return str(TensorProto.DataType.Name(value.type.tensor_type.elem_type)).lower()


def _other_rules(model: onnx.ModelProto, exported: onnx.ModelProto) -> Iterator[str]:
    for operator in RULES:
        found, due = (Counter(_rules(graph, operator)) for graph in (model, exported))
        if found != due:
            yield (
                f"its {operator} nodes are {_in_words(found - due)} where the exported graph has "
                f"{_in_words(due - found)}"
            )


def _rules(model: onnx.ModelProto, operator: str) -> Iterator[str]:
    """One text for each node of that operator: the attributes that matter."""
    for node in model.graph.node:
        if node.op_type == operator:
            said = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
            words = [said.get(name, default) for name, default in RULES[operator].items()]
            yield " ".join(word.decode() if isinstance(word, bytes) else str(word) for word in words)


def _in_words(rules: Counter[str]) -> str:
    return ", ".join(f"{count} x ({rule})" for rule, count in sorted(rules.items())) or "none"


def _other_kernels(model: onnx.ModelProto, exported: onnx.ModelProto) -> Iterator[str]:
    due = kernels(exported)
    errors = {
        name: _error(found, due[name])
        for name, found in kernels(model).items()
        if name in due and due[name].shape == found.shape
    }
    off = {name: error for name, error in errors.items() if not error <= MAX_KERNEL_ERROR}
    if off:
        worst = max(off, key=lambda name: off[name])
        yield (
            f"{len(off)} of {len(errors)} kernels are not those of the exported graph, {worst} is off by "
            f"{off[worst]:.0%} where rounding explains {MAX_KERNEL_ERROR:.0%}"
        )


def _error(found: NDArray[np.float32], due: NDArray[np.float32]) -> float:
    """Root mean square of the difference as a share of the values', 0 within one step of 8 bits."""
    error = float(np.sqrt(np.mean(np.square(found - due, dtype=np.float64))))
    if error <= float(np.abs(due).max()) / _INT8_STEPS / 2:
        return 0.0
    return error / float(np.sqrt(np.mean(np.square(due, dtype=np.float64))))
