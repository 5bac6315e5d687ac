"""Read what a built engine computes in from TensorRT's own inspector. Needs the GPU that the plan is for."""

import json
import logging
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from export.precision.proof import ComputeNode, Precision, PrecisionProof
from modelpack.errors import RuntimeUnavailableError, SegError
from modelpack.tensorrt.engine import open_engine

log = logging.getLogger(__name__)

COMPUTE_WORDS = ("conv", "gemm", "matmul", "matrixmultiply", "matrix_multiply", "fully")
"""In the type of an engine's layer, in small letters: it multiplies and adds."""
TYPE_WORDS = {
    "int8": "int8", "fp8": "fp8", "bf16": "bf16", "bfloat16": "bf16", "fp16": "fp16", "float16": "fp16",
    "half": "fp16", "fp32": "fp32", "float": "fp32",
}  # fmt: skip
"""In the description of a tensor -> a precision; the first that occurs counts."""
FUSED = " + "
"""Between the names of nodes that became one layer."""
FORMAT_KEYS = ("DataType", "Format/Datatype", "Format/DataType", "Format")
"""Where a tensor's description has its type: TensorRT 11 writes two entries where earlier ones wrote one."""


def prove_engine(plan: Path, claimed: Precision, kept: Collection[str]) -> PrecisionProof | None:
    """The proof of the engine itself; None where it does not run here or shows none of its products.

    TensorRT-RTX compiles a whole network into one layer and shows nothing.
    """
    try:
        engine = open_engine(plan)
    except RuntimeUnavailableError as error:
        log.info("the engine is not inspected: %s", error)
        return None
    try:
        nodes = tuple(engine_nodes(engine.information(), kept))
    except SegError as error:
        log.info("the engine is not inspected: %s", error)
        return None
    finally:
        engine.close()
    if not nodes:
        log.info("%s shows no convolution or product of the engine", engine.flavour.title)
        return None
    return PrecisionProof.of(claimed, nodes, kept=kept, established="engine inspector")


def engine_nodes(information: str, kept: Collection[str] = ()) -> Iterator[ComputeNode]:
    """Convolutions and products among the layers that `EngineInspector` lists as JSON.

    A layer of several nodes bears the name of one in `kept`, or of the first. Layers that are names alone or
    whose type is in words of another version are left out. Raises SegError for what is not JSON.
    """
    try:
        layers = json.loads(information).get("Layers", [])
    except (ValueError, AttributeError) as error:
        raise SegError(f"the engine inspector answered no JSON object: {error}") from error
    for layer in layers:
        kind = str(layer.get("LayerType", "")) if isinstance(layer, Mapping) else ""
        if any(word in kind.lower() for word in COMPUTE_WORDS) and (computes_in := _computes_in(layer)):
            parts = str(layer.get("Name", "")).split(FUSED)
            yield ComputeNode(next((part for part in parts if part in kept), parts[0]), kind, computes_in)


def _computes_in(layer: Mapping[str, Any]) -> str | None:
    """The type of the layer's first input, which its kernel multiplies; None where it cannot be read."""
    inputs = layer.get("Inputs") or [{}]
    words = next((str(inputs[0][key]) for key in FORMAT_KEYS if key in inputs[0]), "").lower()
    return next((precision for word, precision in TYPE_WORDS.items() if word in words), None)
