"""Walk the tensors of an ONNX graph: which type does every convolution and matrix product really compute in?

Names and weights prove nothing: a graph of float16 weights may cast each of them to float32 before its use,
and one with quantised inputs may compute in float32 from the second layer on. What counts is the type of the
tensors that a node reads.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from onnx.inliner import inline_local_functions

from export.precision.proof import ComputeNode, Precision, PrecisionProof

COMPUTE = frozenset(
    {"Conv", "ConvTranspose", "DeformConv", "Einsum", "FusedConv", "FusedGemm", "FusedMatMul", "Gemm"}
    | {"MatMul", "NhwcConv", "NhwcFusedConv"}
)
"""Operators that multiply and add, read by their first two inputs (Einsum: by all)."""
INTEGER_COMPUTE = frozenset(
    {"ConvInteger", "DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat", "QGemm", "QLinearConv"}
    | {"QLinearMatMul"}
)
"""Operators that compute in 8-bit integers, whatever surrounds them."""
MOVES = frozenset(
    {"Expand", "Flatten", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"}
)
"""Operators that move values and leave them as they are."""
STANDARD_DOMAINS = frozenset({"", "ai.onnx"})

FLOAT_NAMES: dict[int, str] = {
    TensorProto.FLOAT: "fp32",
    TensorProto.FLOAT16: "fp16",
    TensorProto.BFLOAT16: "bf16",
    TensorProto.DOUBLE: "fp64",
}
_INT8 = (TensorProto.INT8, TensorProto.UINT8)
_INDICES = (TensorProto.INT32, TensorProto.INT64)
_INT8_RANGES: dict[int, tuple[int, int]] = {TensorProto.INT8: (-128, 127), TensorProto.UINT8: (0, 255)}


def prove_onnx(model: onnx.ModelProto, claimed: Precision, kept: Collection[str] = ()) -> PrecisionProof:
    """The proof for a graph whose target declares the nodes `kept` in a higher type."""
    return PrecisionProof.of(claimed, compute_nodes(model), kept=kept, established="ONNX graph")


def compute_nodes(model: onnx.ModelProto) -> tuple[ComputeNode, ...]:
    """Every convolution and matrix product, also in functions and in bodies of loops and branches.

    An operator of a foreign domain may hide anything, so it is listed too, as of unknown type.
    """
    inlined = inline_local_functions(model) if model.functions else model
    inferred = onnx.shape_inference.infer_shapes(inlined)
    return tuple(_walk(inferred.graph, _Scope({}, {}, {})))


@dataclass(frozen=True)
class _Scope:
    """What the names of one graph stand for, those of the graphs around it included."""

    types: Mapping[str, int]
    """Tensor name -> TensorProto element type."""
    makers: Mapping[str, onnx.NodeProto]
    constants: Mapping[str, TensorProto]

    def inside(self, graph: onnx.GraphProto) -> "_Scope":
        values = (*graph.input, *graph.output, *graph.value_info)
        constants = {entry.name: entry for entry in graph.initializer}
        constants |= {
            node.output[0]: attribute.t
            for node in graph.node
            for attribute in node.attribute
            if node.op_type == "Constant" and attribute.name == "value"
        }
        return _Scope(
            {
                **self.types,
                **{value.name: value.type.tensor_type.elem_type for value in values},
                **{name: entry.data_type for name, entry in constants.items()},
            },
            {**self.makers, **{name: node for node in graph.node for name in node.output}},
            {**self.constants, **constants},
        )

    def source(self, name: str) -> str:
        """The tensor that `name` is a rearrangement of."""
        while (maker := self.makers.get(name)) is not None and maker.op_type in MOVES:
            name = maker.input[0]
        return name

    def values(self, name: str) -> NDArray[np.float64] | None:
        """Of a constant; None for what is computed."""
        entry = self.constants.get(self.source(name))
        return None if entry is None else numpy_helper.to_array(entry).astype(np.float64)


def _walk(graph: onnx.GraphProto, outer: _Scope) -> Iterator[ComputeNode]:
    scope = outer.inside(graph)
    for node in graph.node:
        if (computes_in := _computes_in(node, scope)) is not None:
            yield ComputeNode(node.name or node.output[0], node.op_type, computes_in)
        for attribute in node.attribute:
            for body in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else ())):
                yield from _walk(body, scope)


def _computes_in(node: onnx.NodeProto, scope: _Scope) -> str | None:
    """None for a node that is no convolution or product of numbers."""
    if node.op_type in INTEGER_COMPUTE:
        return "int8"
    if node.op_type not in COMPUTE:
        is_known = node.domain in STANDARD_DOMAINS or node.op_type in ("QuantizeLinear", "DequantizeLinear")
        return None if is_known else f"unknown, {node.domain} is a foreign domain"
    operands = node.input if node.op_type == "Einsum" else node.input[:2]
    if all(scope.types.get(name) in _INDICES for name in operands):
        return None
    kinds = [_operand(name, scope) for name in operands]
    return kinds[0] if len(set(kinds)) == 1 else " x ".join(kinds)


def _operand(name: str, scope: _Scope) -> str:
    """The type that a tensor's values have, in words."""
    source = scope.source(name)
    found = FLOAT_NAMES.get(scope.types.get(source, 0), "unknown type")
    maker = scope.makers.get(source)
    if maker is None:
        return found
    if maker.op_type == "DequantizeLinear":
        return _dequantised(maker, scope)
    if maker.op_type == "Cast":
        before = FLOAT_NAMES.get(scope.types.get(maker.input[0], 0))
        narrows = before in ("fp16", "bf16") and found != before
        return f"{before} cast to {found}" if narrows else found
    return found


def _dequantised(node: onnx.NodeProto, scope: _Scope) -> str:
    stored = scope.types.get(node.input[0])
    if stored not in _INT8:
        name = TensorProto.DataType.Name(stored) if stored else "an unknown type"
        return f"dequantised {name}"
    scale = scope.values(node.input[1])
    if scale is None or not (np.isfinite(scale).all() and (scale > 0).all()):
        return "int8 without a positive scale"
    levels = _levels(node, stored, scope)
    return "int8" if levels is None or levels > 1 else "int8 of one level"


def _levels(node: onnx.NodeProto, stored: int, scope: _Scope) -> int | None:
    """How many different integers a quantised constant has; None for what is computed."""
    if (integers := scope.values(node.input[0])) is not None:
        return len(np.unique(integers))
    quantiser = scope.makers.get(scope.source(node.input[0]))
    if quantiser is None or quantiser.op_type != "QuantizeLinear":
        return None
    values, scale = scope.values(quantiser.input[0]), scope.values(quantiser.input[1])
    if values is None or scale is None:
        return None
    axis = next((entry.i for entry in quantiser.attribute if entry.name == "axis"), 1)
    if scale.size > 1:
        scale = np.expand_dims(scale, [place for place in range(values.ndim) if place != axis % values.ndim])
    low, high = _INT8_RANGES[stored]
    zero = 0 if low < 0 else 128
    return len(np.unique(np.clip(np.rint(values / scale) + zero, low, high)))
