"""TensorRT plans: the ONNX graphs of the same precision, compiled for NVIDIA GPUs."""

from pathlib import Path
from typing import Any

from export.config import ExportConfig
from export.precision.artifact import KEPT, PROOF
from export.targets.onnx_fp16 import ONNX_FP16
from export.targets.onnx_fp32 import ONNX_FP32
from export.targets.onnx_int8 import ONNX_INT8
from export.targets.target import BuildContext, Target
from export.tensorrt.plan import build_plan, plan_name


def plan_of(graph: str, onnx: Target) -> Target:
    """The target whose plans are built from the ONNX file of target `graph`, by the same accuracy rule."""

    def build(context: BuildContext, path: Path) -> dict[str, Any]:
        kept = tuple(context.details.get(graph, {}).get(KEPT, ()))
        built = build_plan(
            context.graphs[graph], path, onnx.precision, context.config.tensorrt, kept_float32=kept
        )
        proof = built.proof.model_dump(mode="json")
        return {"graph": graph, KEPT: list(kept), PROOF: proof, **built.details}

    def file(config: ExportConfig) -> str:
        return f"engines/{plan_name(onnx.precision, config.tensorrt)}"

    return Target(
        build=build, file=file, kind="tensorrt", precision=onnx.precision, rule=onnx.rule, graph=graph
    )


TENSORRT_FP32 = plan_of("onnx-fp32", ONNX_FP32)
TENSORRT_FP16 = plan_of("onnx-fp16", ONNX_FP16)
TENSORRT_INT8 = plan_of("onnx-int8", ONNX_INT8)
