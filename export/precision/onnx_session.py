"""What ONNX Runtime makes of a graph: it may compute in a wider type than asked for, and says nothing.

A CPU without float16 arithmetic casts every convolution to float32, and a quantised convolution that its
fusion does not recognise is dequantised and computed in float32. The session's optimised graph shows it.
"""

import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import onnx
import onnxruntime as ort

from export.precision.onnx_graph import COMPUTE, FLOAT_NAMES, INTEGER_COMPUTE

PRODUCTS = COMPUTE | INTEGER_COMPUTE
UNSEEN = "not seen"

_LOG_ERRORS_ONLY = 3
_PROVIDERS = {"cpu": ["CPUExecutionProvider"], "cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"]}


def executed_types(path: Path, device: Literal["cpu", "cuda"]) -> dict[str, int]:
    """Type -> how many convolutions and matrix products a session on that device computes in it."""
    options = ort.SessionOptions()
    options.log_severity_level = _LOG_ERRORS_ONLY
    with tempfile.TemporaryDirectory() as folder:
        optimised = Path(folder, "optimised.onnx")
        options.optimized_model_filepath = str(optimised)
        ort.InferenceSession(str(path), options, _PROVIDERS[device])
        graph = onnx.load(optimised).graph
    types = {entry.name: FLOAT_NAMES.get(entry.data_type, UNSEEN) for entry in graph.initializer}
    types |= {node.output[0]: "fp32" for node in graph.node if node.op_type == "DequantizeLinear"}
    return dict(Counter(_type_of(node, types) for node in graph.node if node.op_type in PRODUCTS))


def _type_of(node: onnx.NodeProto, types: Mapping[str, str]) -> str:
    """By the kernel; a product of two computed tensors does not show its type."""
    if node.op_type in INTEGER_COMPUTE:
        return "int8"
    return next((types[name] for name in node.input[:2] if name in types), UNSEEN)
