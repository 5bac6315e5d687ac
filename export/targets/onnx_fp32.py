"""The deployed graph as it was exported."""

from pathlib import Path
from typing import Any

import onnx

from export.config import ParityRule
from export.targets.target import BuildContext, Target


def build(context: BuildContext, path: Path) -> dict[str, Any]:
    onnx.save(context.model, path)
    return {}


ONNX_FP32 = Target(build=build, file="model.fp32.onnx", kind="onnx", precision="fp32", rule=ParityRule())
