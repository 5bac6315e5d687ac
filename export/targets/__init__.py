"""The table of export targets. A new one is a file beside this and a line below."""

from export.targets.onnx_fp16 import ONNX_FP16
from export.targets.onnx_fp32 import ONNX_FP32
from export.targets.target import Target

TARGETS: dict[str, Target] = {
    "onnx-fp32": ONNX_FP32,
    "onnx-fp16": ONNX_FP16,
}
