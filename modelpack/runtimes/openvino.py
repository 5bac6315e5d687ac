"""OpenVINO on the CPU, computing in the type that was asked for and not in one it prefers."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import LifoQueue
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from modelpack.cpu import usable_cores
from modelpack.errors import PackageError, RuntimeUnavailableError, SegError
from modelpack.runtimes.image_input import ImageInput
from modelpack.runtimes.runtime import StageTimes

_MISSING: str | None = None
try:
    import openvino as ov
except ImportError as _error:
    _MISSING = (
        f"OpenVINO cannot be imported ({_error}); `pip install 'afdcd[openvino]'` brings it, "
        "and runtime=onnxruntime runs the same files"
    )

T = TypeVar("T")

MAX_CALLS = 8
"""Calls that compute side by side, at most: each holds activations of its own. Further ones wait."""
MATRIX_OPERATIONS = frozenset(
    {"Convolution", "GroupConvolution", "Deconvolution", "FullyConnected", "MatMul"}
)
"""Of OpenVINO's executable graph: what the time goes into, and whose type is therefore reported."""
_NO_OPERATOR = "No conversion rule found"
"""Begins the line that names operators which OpenVINO does not have."""


class OpenVino:
    """One compiled graph that computes floating-point operators in float32.

    OpenVINO would run a float32 graph in bfloat16 wherever the CPU has it; `OpenVinoBf16` does that by name.
    Quantised operators of an int8 graph run as int8 in both.
    """

    name = "openvino"
    artifact_kinds: ClassVar[frozenset[str]] = frozenset({"onnx"})
    float_type: ClassVar[str] = "f32"
    """OpenVINO's name for the type of everything that is not quantised."""

    def __init__(
        self, model_path: Path | str, *, device: Literal["auto", "cpu", "cuda"] = "auto", threads: int = 0
    ) -> None:
        """Compile the graph; `threads` are those of one call, 0 means all cores for one call at a time.

        Raises RuntimeUnavailableError for `cuda` and for a type that this CPU does not compute in,
        PackageError for a file that is no deployed graph.
        """
        if (reason := self.obstacle(Path(model_path), "cuda" if device == "cuda" else "cpu")) is not None:
            raise RuntimeUnavailableError(f"runtime {self.name} cannot be used: {reason}.")
        self.threads = threads
        self.device = "cpu"
        self._slots = _parallel_calls(threads)
        self._compiled, requests = _off_this_thread(
            lambda: _compile(Path(model_path), self.float_type, threads, self._slots)
        )
        self.provider: str = f"OpenVINO {', '.join(self._compiled.get_property('EXECUTION_DEVICES'))}"
        self._input = ImageInput.of_graph(
            model_path,
            [
                (
                    port.any_name,
                    np.dtype(port.element_type.to_dtype()).name,
                    [None if size.is_dynamic else size.get_length() for size in port.partial_shape],
                )
                for port in self._compiled.inputs
            ],
        )
        self._output_names = [port.any_name for port in self._compiled.outputs]
        self._idle: LifoQueue[Any] = LifoQueue()
        for request in requests:
            self._idle.put(request)

    @classmethod
    def obstacle(cls, model_path: Path, device: Literal["cpu", "cuda"]) -> str | None:
        """Why no graph runs on that device in this type; None where one does."""
        if _MISSING is not None:
            return _MISSING
        if device == "cuda":
            return "it runs on CPUs only (device=cpu; runtime=onnxruntime is for device=cuda)"
        types = ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if cls.float_type == "bf16" and "BF16" not in types:
            return "this CPU does not compute in bfloat16 (runtime=openvino computes in float32)"
        return None

    def run(self, images_nhwc_u8: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """All outputs by name for uint8 RGB (N, H, W, 3); raises ShapeError for what does not fit."""
        return self._infer(images_nhwc_u8)[0]

    def run_timed(self, images_nhwc_u8: NDArray[np.uint8]) -> tuple[dict[str, NDArray[Any]], StageTimes]:
        """`compute` is what OpenVINO itself measured of the call; there are no copies to a device."""
        begun = time.perf_counter()
        outputs, compute_ms = self._infer(images_nhwc_u8)
        host_ms = (time.perf_counter() - begun) * 1e3
        return outputs, StageTimes(
            enqueue_ms=None, h2d_ms=None, compute_ms=compute_ms, d2h_ms=None, host_ms=host_ms
        )

    def describe(self) -> dict[str, Any]:
        """`computes` counts the convolutions and matrix products by the type they really run in."""
        return {
            "runtime": self.name,
            "version": ov.__version__,
            "device": self.device,
            "provider": self.provider,
            "threads": self.threads,
            "parallel_calls": self._slots,
            "float_type": self._compiled.get_property("INFERENCE_PRECISION_HINT").to_string(),
            "computes": self._computes(),
        }

    def close(self) -> None:
        self._idle = LifoQueue()
        self._compiled = None

    def _infer(self, images_nhwc_u8: NDArray[np.uint8]) -> tuple[dict[str, NDArray[Any]], float]:
        """Outputs by name, and the milliseconds that OpenVINO measured."""
        self._input.check(images_nhwc_u8)
        request = self._idle.get()
        try:
            outputs = request.infer([np.ascontiguousarray(images_nhwc_u8)], share_inputs=True)
            named = {
                name: outputs[port]
                for name, port in zip(self._output_names, self._compiled.outputs, strict=True)
            }
            return named, float(request.latency)
        except RuntimeError as error:
            raise SegError(
                f"{self.provider} failed on images of shape {images_nhwc_u8.shape}: {_reason(error)}"
            ) from error
        finally:
            self._idle.put(request)

    def _computes(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for node in self._compiled.get_runtime_model().get_ordered_ops():
            info = node.get_rt_info()
            if info["layerType"].astype(str) in MATRIX_OPERATIONS:
                kind = info["runtimePrecision"].astype(str)
                counts[kind] = counts.get(kind, 0) + 1
        return counts


class OpenVinoBf16(OpenVino):
    """The same with bfloat16 for everything that is not quantised: 8 bits of mantissa, fast on AMX."""

    name = "openvino-bf16"
    float_type = "bf16"


def _parallel_calls(threads: int) -> int:
    """How many calls of `threads` threads the usable cores hold."""
    return min(max(usable_cores() // threads, 1), MAX_CALLS) if threads else 1


def _off_this_thread(work: Callable[[], T]) -> T:
    """`work()` in a thread that ends with it.

    OpenVINO gives the thread that compiles an alternate stack for signals, and frees that with the graph,
    in whichever thread lets go of it: the next signal to the first thread would then end the process.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def _compile(model_path: Path, float_type: str, threads: int, slots: int) -> tuple[Any, list[Any]]:
    """The compiled graph and `slots` requests to it."""
    try:
        compiled = ov.Core().compile_model(
            str(model_path),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": float_type,
                "PERFORMANCE_HINT": "LATENCY",
                "NUM_STREAMS": slots,
                "INFERENCE_NUM_THREADS": threads * slots,
                # Threads bound to cores would share the first cores with those of other processes.
                "ENABLE_CPU_PINNING": False,
            },
        )
        return compiled, [compiled.create_infer_request() for _ in range(slots)]
    except RuntimeError as error:
        raise PackageError(f"{model_path} cannot be loaded by OpenVINO: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """What is wrong, out of a message that begins with places in OpenVINO's own source."""
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    missing = [line for line in lines if line.startswith(_NO_OPERATOR)]
    return (missing or lines or ["it does not say why"])[-1]
