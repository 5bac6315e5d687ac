"""Step `device`: the GPU is there, torch and ONNX Runtime really compute on it, and how fast it can be."""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from afdcd.gpu.ceilings import COPY_BYTES, copy_gb_per_s, matmul_tflop_per_s
from afdcd.gpu.step import Context, Note
from modelpack.errors import RuntimeUnavailableError, SegError
from modelpack.runtimes.onnxruntime import OnnxRuntime

NVIDIA_SMI_TIMEOUT_S = 20.0
SHARE_OF_FREE_MEMORY = 8
"""The copy takes at most one part in this many for each of its two buffers."""
LEAST_AGREEMENT = 0.999
"""Share of pixels; TF32 rounds where the CPU does not."""
CLASSES = 5
OPSET = 17
IR_VERSION = 9


def run(context: Context, note: Note) -> None:
    note("nvidia_smi", nvidia_smi())
    note("torch", torch_device())
    device = torch.device(context.device)
    free, _ = torch.cuda.mem_get_info(device)
    note("copy_gb_per_s", copy_gb_per_s(device, min(COPY_BYTES, free // SHARE_OF_FREE_MEMORY)))
    note("bf16_matmul_tflop_per_s", matmul_tflop_per_s(device))
    note("onnx_runtime", onnx_runtime(context.device))


def nvidia_smi() -> str:
    """Its whole page: driver, clocks, and who else is on the device."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "not installed"
    done = subprocess.run(
        [program], capture_output=True, text=True, timeout=NVIDIA_SMI_TIMEOUT_S, check=False
    )
    return done.stdout or done.stderr


def torch_device() -> dict[str, Any]:
    """Raises RuntimeUnavailableError where torch sees no CUDA device."""
    if not torch.cuda.is_available():
        raise RuntimeUnavailableError(
            f"there is a GPU, but torch {torch.__version__} (for CUDA {torch.version.cuda}) does not see it. "
            "Install a torch that fits the driver."
        )
    properties = torch.cuda.get_device_properties(0)
    return {
        "name": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "memory_bytes": properties.total_memory,
        "multiprocessors": properties.multi_processor_count,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "bf16": torch.cuda.is_bf16_supported(),
    }


def onnx_runtime(device: Literal["cuda", "cpu"]) -> dict[str, Any]:
    """Run a convolution through ONNX Runtime and compare it with the CPU; says which provider computed.

    Raises RuntimeUnavailableError where the session is not on `device`, SegError where the masks differ.
    """
    image = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)
    masks = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "convolution.onnx"
        onnx.save(_convolution(), path)
        for place in ("cpu", device):
            runtime = OnnxRuntime(path, device=place)
            masks[place] = runtime.run(image)["mask"]
            described = runtime.describe()
            runtime.close()
    agreement = float((masks["cpu"] == masks[device]).mean())
    if agreement < LEAST_AGREEMENT:
        raise SegError(f"ONNX Runtime on {device} answers unlike the CPU: agreement {agreement:.4f}.")
    return {**described, "agreement_with_cpu": agreement}


def _convolution() -> onnx.ModelProto:
    """uint8 (N, H, W, 3) -> uint8 (N, H, W): the index of the random filter with the largest answer."""
    weight = np.random.default_rng(0).standard_normal((CLASSES, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "weight"], ["logits"], pads=[1, 1, 1, 1]),
        helper.make_node("ArgMax", ["logits"], ["index"], axis=1, keepdims=0),
        helper.make_node("Cast", ["index"], ["mask"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(
        nodes,
        "convolution",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", "height", "width", 3])],
        [helper.make_tensor_value_info("mask", TensorProto.UINT8, ["batch", "height", "width"])],
        [numpy_helper.from_array(weight, "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
