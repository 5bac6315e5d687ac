"""The table of export targets. A new one is a file beside this and a line below."""

from export.targets.onnx_fp16 import ONNX_FP16
from export.targets.onnx_fp32 import ONNX_FP32
from export.targets.onnx_int8 import ONNX_INT8
from export.targets.target import Target
from export.targets.tensorrt import TENSORRT_FP16, TENSORRT_FP32, TENSORRT_INT8

TARGETS: dict[str, Target] = {
    "onnx-fp32": ONNX_FP32,
    "onnx-fp16": ONNX_FP16,
    "onnx-int8": ONNX_INT8,
    "tensorrt-fp32": TENSORRT_FP32,
    "tensorrt-fp16": TENSORRT_FP16,
    "tensorrt-int8": TENSORRT_INT8,
}
