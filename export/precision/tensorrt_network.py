"""Walk a parsed TensorRT network before it is built: what does every convolution and product compute in?

In a strongly typed network (TensorRT 10 and later, TensorRT-RTX) the built engine has these very types.
TensorRT 8 may choose wider ones: there the network shows what is allowed, and only the engine inspector what
was chosen.
"""

from collections.abc import Collection, Iterator
from typing import Any

from export.precision.proof import ComputeNode, Precision, PrecisionProof
from export.tensorrt.network import ParsedNetwork

COMPUTE_LAYERS = {
    "CONVOLUTION": 2,
    "DECONVOLUTION": 2,
    "EINSUM": None,
    "FULLY_CONNECTED": 2,
    "MATRIX_MULTIPLY": 2,
}
"""Layer type -> how many of its first inputs are multiplied (None: all)."""
WEIGHTED_LAYERS = {"CONVOLUTION": "IConvolutionLayer", "DECONVOLUTION": "IDeconvolutionLayer"}
"""Layers that may hold their weights themselves, and the class that shows them."""
MOVES = frozenset({"IDENTITY", "SHUFFLE", "SLICE", "SQUEEZE", "UNSQUEEZE"})
"""Layers that move values and leave them as they are."""
TYPES = {"FLOAT": "fp32", "HALF": "fp16", "BF16": "bf16", "FP8": "fp8", "INT8": "int8"}
"""TensorRT's data types as a proof calls them."""
_NUMPY_TYPES = {"float32": "fp32", "float16": "fp16", "int8": "int8"}
"""The same as numpy calls them: weights come as arrays where numpy has the type."""
_INDICES = ("INT32", "INT64")


def prove_network(parsed: ParsedNetwork, claimed: Precision, kept: Collection[str]) -> PrecisionProof:
    """The proof for a network whose nodes `kept` stay in a higher type on purpose."""
    return PrecisionProof.of(
        claimed, tuple(compute_layers(parsed)), kept=kept, established="TensorRT network"
    )


def compute_layers(parsed: ParsedNetwork) -> Iterator[ComputeNode]:
    """Every layer that multiplies and adds numbers, under the name of its ONNX node."""
    makers = {
        layer.get_output(index).name: layer for layer in parsed.layers() for index in range(layer.num_outputs)
    }
    for layer in parsed.layers():
        if layer.type.name not in COMPUTE_LAYERS:
            continue
        count = COMPUTE_LAYERS[layer.type.name] or layer.num_inputs
        tensors = [layer.get_input(index) for index in range(min(count, layer.num_inputs))]
        if all(tensor.dtype.name in _INDICES for tensor in tensors):
            continue
        kinds = [_operand(tensor, makers) for tensor in tensors]
        if len(tensors) < count:
            kinds.append(_own_weights(parsed.flavour.trt, layer))
        yield ComputeNode(
            layer.name, layer.type.name, kinds[0] if len(set(kinds)) == 1 else " x ".join(kinds)
        )


def _operand(tensor: Any, makers: dict[str, Any]) -> str:
    """The type that a tensor's values have, in words."""
    layer = makers.get(tensor.name)
    while layer is not None and layer.type.name in MOVES:
        tensor = layer.get_input(0)
        layer = makers.get(tensor.name)
    found: str = TYPES.get(tensor.dtype.name, tensor.dtype.name)
    if layer is None:
        return found
    if layer.type.name == "DEQUANTIZE":
        stored: str = layer.get_input(0).dtype.name
        return TYPES.get(stored, f"dequantised {stored}")
    if layer.type.name == "CAST":
        before = TYPES.get(layer.get_input(0).dtype.name)
        narrows = before in ("fp16", "bf16") and before != found
        return f"{before} cast to {found}" if narrows else found
    return found


def _own_weights(trt: Any, layer: Any) -> str:
    """The type of weights that are no tensor of the network."""
    convolution = layer
    convolution.__class__ = getattr(trt, WEIGHTED_LAYERS[layer.type.name])  # the way to see more than a layer
    kind: str = convolution.kernel.dtype.name
    return _NUMPY_TYPES.get(kind) or TYPES.get(kind, kind)
