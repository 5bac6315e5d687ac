"""Edges of the deployed graph, where bytes become floats and classes bytes: no UINT8 elsewhere (TensorRT)."""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto

from export.errors import ExportError
from export.graph import LOGITS, MASK

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
_PROBE = "probe_"
PROBE_LOGITS = _PROBE + "logits"


def check_uint8_edges(model: onnx.ModelProto) -> None:
    """One node reads the input, casting it to float; uint8 outputs are made by casts and read by nobody.

    No other tensor is uint8. Raises ExportError naming the node that breaks this.
    """
    inputs = {value.name for value in model.graph.input}
    outputs = {value.name for value in model.graph.output}
    types = element_types(model)
    for node in model.graph.node:
        for name in node.input:
            if name in inputs and not is_cast_to(node, types, FLOATS):
                raise ExportError(
                    f"node {node.name} ({node.op_type}) reads the uint8 input {name}; "
                    "only a cast to float may."
                )
            if types.get(name) == TensorProto.UINT8 and name not in inputs:
                raise ExportError(
                    f"node {node.name} ({node.op_type}) reads {name}, which is uint8; only outputs may be."
                )
        for name in node.output:
            if types.get(name) != TensorProto.UINT8:
                continue
            if name not in outputs or node.op_type != "Cast":
                raise ExportError(
                    f"node {node.name} ({node.op_type}) makes {name} uint8; only a last cast may."
                )
    readers = [node.name for node in model.graph.node if inputs & set(node.input)]
    if len(readers) != 1:
        raise ExportError(
            f"the input must be read by one cast to float, it is read by {readers or 'no node'}."
        )


def read_sizes_behind_the_cast(model: onnx.ModelProto, image: str) -> None:
    """Let nodes that only ask for the input's shape ask the cast image; the cast becomes the first node."""
    cast = next((node for node in model.graph.node if image in node.input and node.op_type == "Cast"), None)
    if cast is None:
        raise ExportError(f"no node casts the input {image} to float.")
    for node in model.graph.node:
        if node.op_type == "Shape" and list(node.input) == [image]:
            node.input[0] = cast.output[0]
    others = [node for node in model.graph.node if node is not cast]
    ordered = [onnx.NodeProto.FromString(node.SerializeToString()) for node in (cast, *others)]
    del model.graph.node[:]
    model.graph.node.extend(ordered)


def logits_name(model: onnx.ModelProto) -> str:
    """The tensor that the mask is chosen from: logits (N, num_classes, H, W), before padding is cut away."""
    makers = {name: node for node in model.graph.node for name in node.output}
    node = makers.get(MASK)
    while node is not None and node.op_type != "ArgMax":
        node = makers.get(node.input[0])
    if node is None:
        raise ExportError("the mask is not made by an ArgMax, so its logits cannot be compared.")
    flattening = makers.get(node.input[0])
    is_flat = flattening is not None and flattening.op_type == "Reshape"
    return str(flattening.input[0] if flattening is not None and is_flat else node.input[0])


def with_logits_output(model: onnx.ModelProto) -> tuple[onnx.ModelProto, str]:
    """The same graph that also gives its logits, (N, num_classes, H, W), and the name of that output.

    H and W are the mask's. No node differs; those that cut padding away are added.
    """
    probe = onnx.ModelProto.FromString(model.SerializeToString())
    if LOGITS in {value.name for value in probe.graph.output}:
        return probe, LOGITS
    source = logits_name(model)
    constants = {_PROBE + "origin": [0, 0], _PROBE + "axes": [2, 3]}
    probe.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.array(values, np.int64), name) for name, values in constants.items()
    )
    size, origin, axes = _PROBE + "size", *constants
    probe.graph.node.extend(
        [
            onnx.helper.make_node("Shape", [MASK], [size], size, start=1),
            onnx.helper.make_node("Slice", [source, origin, size, axes], [PROBE_LOGITS], PROBE_LOGITS),
        ]
    )
    element_type = element_types(model).get(source, TensorProto.FLOAT)
    probe.graph.output.append(onnx.helper.make_tensor_value_info(PROBE_LOGITS, element_type, None))
    return probe, PROBE_LOGITS


def is_cast_to(node: onnx.NodeProto, types: Mapping[str, int], wanted: tuple[int, ...]) -> bool:
    return node.op_type == "Cast" and types.get(node.output[0]) in wanted


def element_types(model: onnx.ModelProto) -> dict[str, int]:
    """Tensor name -> TensorProto element type, for every tensor whose type can be inferred."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    types: dict[str, int] = defaultdict(int)
    for value in (*inferred.input, *inferred.output, *inferred.value_info):
        types[value.name] = value.type.tensor_type.elem_type
    for initializer in inferred.initializer:
        types[initializer.name] = initializer.data_type
    return types
