"""Turn a float32 graph into one that computes in float16, except in the nodes that are to stay in float32.

ONNX Runtime's own converter casts between any two nodes that stay in float32, so that what overflowed before
still does, and names casts twice where two such nodes read one tensor.
"""

from collections.abc import Collection

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, defs, helper, numpy_helper

from export.errors import ExportError
from export.onnx_edges import element_types

LARGEST = float(np.finfo(np.float16).max)
SMALLEST = float(np.finfo(np.float16).smallest_subnormal)
"""Constants are brought into this range, zero aside: a mask of -1e9 stays finite, an epsilon positive."""

_FLOAT16_TYPE = "tensor(float16)"
_SUFFIX: dict[int, str] = {TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16"}


def to_float16(model: onnx.ModelProto, keep_float32: Collection[str] = ()) -> onnx.ModelProto:
    """A sorted graph with the same inputs and outputs. `keep_float32`: names of nodes that change nothing.

    Operators, and inputs of operators, that ONNX defines for float32 alone stay there too. A value that is
    read in another type than it was made in is cast once. Raises ExportError for loops and branches.
    """
    return _Conversion(model, keep_float32).run()


class _Conversion:
    def __init__(self, model: onnx.ModelProto, keep_float32: Collection[str]) -> None:
        self.model: onnx.ModelProto = onnx.ModelProto.FromString(model.SerializeToString())
        self.keep_float32 = frozenset(keep_float32)
        self.floats = {name for name, kind in element_types(model).items() if kind == TensorProto.FLOAT}
        self.opsets = {entry.domain: entry.version for entry in model.opset_import}
        self.constants = {entry.name: entry for entry in self.model.graph.initializer}
        self.halves: dict[str, str] = {}
        """Values that are made in float16 -> what they are called."""
        self.copies: dict[tuple[str, int], str] = {}
        """(value, element type that it is not made in) -> what it is called in that type."""
        self.nodes: list[onnx.NodeProto] = []

    def run(self) -> onnx.ModelProto:
        graph = self.model.graph
        outputs = [value.name for value in graph.output if value.name in self.floats]
        for node in graph.node:
            is_half = self._computes_in_float16(node)
            for place, name in enumerate(node.input):
                if name in self.floats:
                    reads_half = is_half and _FLOAT16_TYPE in self._input_types(node, place)
                    node.input[place] = self._as(
                        name, TensorProto.FLOAT16 if reads_half else TensorProto.FLOAT
                    )
            self.nodes.append(node)
            if is_half:
                _narrow_attributes(node)
                for place, name in enumerate(node.output):
                    if name in self.floats:
                        self.halves[name] = f"{name}/float16" if name in outputs else name
                        node.output[place] = self.halves[name]
        self.nodes += [
            _cast(self.halves[name], name, TensorProto.FLOAT) for name in outputs if name in self.halves
        ]
        return self._assembled()

    def _computes_in_float16(self, node: onnx.NodeProto) -> bool:
        if any(attribute.HasField("g") for attribute in node.attribute):
            raise ExportError(
                f"node {node.name} ({node.op_type}) holds a graph, which is not converted to float16. "
                "Leave onnx-fp16 out of export.targets."
            )
        if node.name in self.keep_float32:
            return False
        made = [place for place, name in enumerate(node.output) if name in self.floats]
        if not made:  # sizes, classes, bytes: read what is there as it is
            return any(name in self.halves for name in node.input)
        outputs = self._schema(node).outputs
        return all(_FLOAT16_TYPE in outputs[min(place, len(outputs) - 1)].types for place in made)

    def _input_types(self, node: onnx.NodeProto, place: int) -> Collection[str]:
        inputs = self._schema(node).inputs
        types: Collection[str] = inputs[min(place, len(inputs) - 1)].types  # the last may be repeated
        return types

    def _schema(self, node: onnx.NodeProto) -> "defs.OpSchema":
        return defs.get_schema(node.op_type, self.opsets[node.domain], node.domain)

    def _as(self, name: str, element_type: int) -> str:
        """What a value is called in a type; a cast, or a copy of a constant, is added where it has to be."""
        made_in = TensorProto.FLOAT16 if name in self.halves else TensorProto.FLOAT
        source = self.halves.get(name, name)
        if element_type == made_in:
            return source
        if (name, element_type) not in self.copies:
            target = f"{name}/{_SUFFIX[element_type]}"
            self.copies[name, element_type] = target
            if name in self.constants:
                values = _into_float16(numpy_helper.to_array(self.constants[name]))
                self.model.graph.initializer.append(numpy_helper.from_array(values, target))
            else:
                self.nodes.append(_cast(source, target, element_type))
        return self.copies[name, element_type]

    def _assembled(self) -> onnx.ModelProto:
        graph = self.model.graph
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in self.nodes]
        read = {name for node in nodes for name in node.input}
        constants = [
            TensorProto.FromString(entry.SerializeToString())
            for entry in graph.initializer
            if entry.name in read
        ]
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(nodes)
        graph.initializer.extend(constants)
        return self.model


def _narrow_attributes(node: onnx.NodeProto) -> None:
    for attribute in node.attribute:
        if attribute.HasField("t") and attribute.t.data_type == TensorProto.FLOAT:
            values = _into_float16(numpy_helper.to_array(attribute.t))
            attribute.t.CopyFrom(numpy_helper.from_array(values, attribute.t.name))
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.FLOAT16


def _into_float16(values: NDArray[np.float32]) -> NDArray[np.float16]:
    bounded = np.clip(values, -LARGEST, LARGEST)
    tiny = (bounded != 0) & (np.abs(bounded) < SMALLEST)
    half: NDArray[np.float16] = np.where(tiny, np.copysign(SMALLEST, bounded), bounded).astype(np.float16)
    return half


def _cast(source: str, target: str, element_type: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [target], to=element_type, name=f"{target}/cast")
