"""Graphs of a student that was trained with int8 values: its fake quantisation becomes Q/DQ pairs.

The form is TensorRT's: int8 without zero points, weights with a scale for each output channel, biases float.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from onnxscript import opset18 as op

from distill.quantisation.traceable import OPERATOR
from export.precision.artifact import KEPT
from export.precision.onnx_graph import compute_nodes

_LOWEST, _HIGHEST = -128, 127
_QUANTISE, _DEQUANTISE = "QuantizeLinear", "DequantizeLinear"


def _to_qdq(values: Any, scales: Any) -> Any:
    """What the exporter calls with values of its own; scales: () or (out,)."""
    zeros: Any = op.Constant(value=numpy_helper.from_array(np.zeros([int(n) for n in scales.shape], np.int8)))
    axis = {"axis": 0} if len(scales.shape) else {}
    integers: Any = op.QuantizeLinear(values, scales, zeros, **axis)
    return op.DequantizeLinear(integers, scales, zeros, **axis)


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {OPERATOR: _to_qdq}
"""For the exporter: what it does not know of this project's operators."""


def is_quantised(model: onnx.ModelProto) -> bool:
    """Whether any tensor of the graph is quantised."""
    return any(node.op_type == _QUANTISE for node in model.graph.node)


def write_as_trained(model: onnx.ModelProto, path: Path) -> dict[str, Any]:
    """The file of a quantised graph, and what a target tells of it.

    Declared as kept in float32 is what training left so: layers that were skipped or are not plain, products
    of two activations.
    """
    onnx.save(model, path)
    kept = [node.name for node in compute_nodes(model) if node.computes_in == "fp32"]
    return {KEPT: kept, "quantisation": "as trained"}


def store_weights_as_int8(model: onnx.ModelProto) -> None:
    """Replace quantised constants by their integers, in place; a graph without Q/DQ stays as it is.

    A transposition of a dequantised constant (of a linear layer's weight) is done on the integers too, so
    that every product reads its weight from a DequantizeLinear.
    """
    if not is_quantised(model):
        return
    graph = model.graph
    constants = {entry.name: entry for entry in graph.initializer}
    readers = Counter(name for node in graph.node for name in node.input)
    makers = {name: node for node in graph.node for name in node.output}
    gone: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type == _QUANTISE and node.input[0] in constants:
            values, scales = (numpy_helper.to_array(constants[name]) for name in node.input[:2])
            integers = _quantise(values, scales, _axis(node))
            graph.initializer.append(numpy_helper.from_array(integers, node.output[0]))
            constants[node.output[0]] = graph.initializer[-1]
            gone.append(node)
    for node in graph.node:
        source = makers.get(node.input[0]) if node.op_type == "Transpose" else None
        if source is None or source.op_type != _DEQUANTISE or readers[source.output[0]] > 1:
            continue
        if source.input[0] in constants:
            _transpose_integers(graph, constants, source, node)
            gone.append(node)
    for node in gone:
        graph.node.remove(node)
    _drop_unread_constants(graph)


def _quantise(values: NDArray[Any], scales: NDArray[Any], axis: int) -> NDArray[np.int8]:
    if scales.ndim:
        scales = np.expand_dims(scales, [place for place in range(values.ndim) if place != axis])
    integers: NDArray[np.int8] = np.clip(np.rint(values / scales), _LOWEST, _HIGHEST).astype(np.int8)
    return integers


def _axis(node: onnx.NodeProto) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == "axis"), 1)


def _transpose_integers(
    graph: onnx.GraphProto,
    constants: dict[str, TensorProto],
    dequantise: onnx.NodeProto,
    transpose: onnx.NodeProto,
) -> None:
    """Let `dequantise` read transposed integers and give what `transpose` gave."""
    order = list(next(attribute.ints for attribute in transpose.attribute if attribute.name == "perm"))
    name = f"{dequantise.input[0]}_transposed"
    integers = numpy_helper.to_array(constants[dequantise.input[0]])
    graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(integers.transpose(order)), name))
    for attribute in dequantise.attribute:
        if attribute.name == "axis":
            attribute.i = order.index(attribute.i)
    dequantise.input[0] = name
    dequantise.output[0] = transpose.output[0]


def _drop_unread_constants(graph: onnx.GraphProto) -> None:
    read = {name for node in graph.node for name in node.input}
    kept = [entry for entry in graph.initializer if entry.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
