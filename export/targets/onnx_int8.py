"""The deployed graph computing in int8: a quarter of the file, fast where the processor multiplies bytes."""

from pathlib import Path
from typing import Any

import onnx

from export.config import ParityRule
from export.onnx_edges import check_uint8_edges
from export.precision.artifact import KEPT
from export.qdq import is_quantised, write_as_trained
from export.quantisable import OPERATOR_SETS, products_beside, quantisable_nodes
from export.quantise import measure_inputs, quantise_measured
from export.targets.target import BuildContext, Target

RULE = ParityRule(
    min_agreement=0.93,
    min_agreement_confident=None,
    max_miou_difference_points=None,
    min_miou_share=0.99,
    max_class_loss_points=3.0,
    max_logit_error=None,
)
"""8 bits move logits by hundredths of the largest: what is asked is that every class is found as well. The
agreement tells the network from another one that is as good: two that were trained alike but for the seed
agree in some nine of ten pixels."""
_INPUTS = "inputs of products"


def build(context: BuildContext, path: Path) -> dict[str, Any]:
    model, settings = context.model, context.config.int8
    if is_quantised(model):
        return write_as_trained(model, path)
    if _INPUTS not in context.measured:
        context.measured[_INPUTS] = measure_inputs(model, context.calibration, settings)
    quantised = quantise_measured(model, context.measured[_INPUTS], settings, context.keep_float32)
    check_uint8_edges(quantised)
    onnx.save(quantised, path)
    nodes = quantisable_nodes(model, OPERATOR_SETS[settings.operators])
    in_int8 = {node.name for node in nodes} - context.keep_float32
    return {
        KEPT: products_beside(model, in_int8),
        "quantisation": settings.model_dump(),
        "calibration_images": len(context.calibration),
    }


ONNX_INT8 = Target(build=build, file="model.int8.onnx", kind="onnx", precision="int8", rule=RULE)
