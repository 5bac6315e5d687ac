"""The deployed graph with 16-bit weights and activations: half the file, fast where the hardware has it."""

from pathlib import Path
from typing import Any

import onnx

from export.config import ParityRule
from export.half import to_float16
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
    half = to_float16(context.model, context.keep_float32)
    onnx.checker.check_model(half, full_check=True)
    check_uint8_edges(half)
    onnx.save(half, path)
    return {}


ONNX_FP16 = Target(build=build, file="model.fp16.onnx", kind="onnx", precision="fp16", rule=RULE)
