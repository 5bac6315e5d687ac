"""Compute a float16 graph on a CPU as hardware with 16-bit registers does: every result is rounded.

ONNX Runtime's CPU provider has no float16 convolution. It computes such a graph in float32 from end to end
and drops the casts between: rounding and overflow (beyond 65504) stay unseen until the graph meets a GPU.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.onnx_edges import element_types

_EXACT = frozenset(
    {"Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "MaxPool", "Pad", "Relu", "Reshape"}
    | {"Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"}
)
"""Operators whose results are among their inputs or 0: rounded already."""


def has_float16(model: onnx.ModelProto) -> bool:
    return TensorProto.FLOAT16 in element_types(model).values()


def emulate_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph in float32, with a cast to float16 and back behind every node that gives float16.

    Products accumulate in float32 and are rounded once, as on tensor cores.
    """
    types = element_types(model)
    emulated: onnx.ModelProto = onnx.ModelProto.FromString(model.SerializeToString())
    graph = emulated.graph
    for initializer in graph.initializer:
        if initializer.data_type == TensorProto.FLOAT16:
            initializer.CopyFrom(_in_float32(initializer))
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT16:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    del graph.value_info[:]
    nodes = []
    for node in graph.node:
        half = [name for name in node.output if types.get(name) == TensorProto.FLOAT16]
        _compute_in_float32(node)
        nodes.append(node)
        for name in half if node.op_type not in _EXACT else ():
            wide, narrow = f"{name}/unrounded", f"{name}/half"
            node.output[list(node.output).index(name)] = wide
            nodes.append(helper.make_node("Cast", [wide], [narrow], to=TensorProto.FLOAT16))
            nodes.append(helper.make_node("Cast", [narrow], [name], to=TensorProto.FLOAT))
    ordered = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(ordered)
    return emulated


def _compute_in_float32(node: onnx.NodeProto) -> None:
    """Turn float16 constants and casts to float16 into their float32 likes."""
    for attribute in node.attribute:
        if attribute.HasField("t") and attribute.t.data_type == TensorProto.FLOAT16:
            attribute.t.CopyFrom(_in_float32(attribute.t))
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT16:
            attribute.i = TensorProto.FLOAT


def _in_float32(tensor: TensorProto) -> TensorProto:
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name)
