"""The deployed graph with 16-bit weights and activations: half the file, fast where the hardware has it."""

import warnings
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from export.config import ParityRule
from export.onnx_edges import check_uint8_edges
from export.targets.target import BuildContext, Target

RULE = ParityRule(
    min_agreement=0.995,
    min_agreement_confident=0.9995,
    max_miou_difference_points=0.2,
    max_logit_error=2e-2,
)
"""float16 keeps 11 bits: logits are off by thousandths of the largest, and pixels between classes flip."""


def build(context: BuildContext, path: Path) -> dict[str, Any]:
    half = onnx.ModelProto.FromString(context.model.SerializeToString())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one line for every weight that is rounded to zero
        half = convert_float_to_float16(
            half, keep_io_types=True, node_block_list=sorted(context.keep_float32)
        )
    ordered = OnnxModel(half)
    ordered.topological_sort()  # the converter appends its casts at the end
    onnx.checker.check_model(ordered.model, full_check=True)
    check_uint8_edges(ordered.model)
    onnx.save(ordered.model, path)
    return {}


ONNX_FP16 = Target(build=build, file="model.fp16.onnx", kind="onnx", precision="fp16", rule=RULE)
