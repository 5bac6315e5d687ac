"""OpenVINO on the CPU, computing in the type that was asked for and not in one it prefers."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import LifoQueue
from threading import Lock
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
    """A graph that computes floating-point operators in float32, compiled for single images and for batches.

    Graphs of one fixed shape are faster than those that take any batch.

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
        self._path = Path(model_path)
        self._single = self._compile(batch=1)
        self._any_batch: _Graph | None = None
        self._compiling = Lock()
        compiled = self._single.compiled
        self.provider: str = f"OpenVINO {', '.join(compiled.get_property('EXECUTION_DEVICES'))}"
        self._input = ImageInput.of_graph(
            model_path,
            [
                (
                    port.any_name,
                    np.dtype(port.element_type.to_dtype()).name,
                    [None if size.is_dynamic else size.get_length() for size in port.partial_shape],
                )
                for port in self._single.inputs
            ],
        )

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
            "float_type": self._single.compiled.get_property("INFERENCE_PRECISION_HINT").to_string(),
            "computes": self._computes(),
        }

    def close(self) -> None:
        for graph in (self._single, self._any_batch):
            if graph is not None:
                graph.idle = LifoQueue()
                graph.compiled = None

    def _infer(self, images_nhwc_u8: NDArray[np.uint8]) -> tuple[dict[str, NDArray[Any]], float]:
        """Outputs by name, and the milliseconds that OpenVINO measured."""
        self._input.check(images_nhwc_u8)
        graph = self._graph(len(images_nhwc_u8))
        request = graph.idle.get()
        try:
            outputs = request.infer([np.ascontiguousarray(images_nhwc_u8)], share_inputs=True)
            return {port.any_name: outputs[port] for port in graph.compiled.outputs}, float(request.latency)
        except RuntimeError as error:
            raise SegError(
                f"{self.provider} failed on images of shape {images_nhwc_u8.shape}: {_reason(error)}"
            ) from error
        finally:
            graph.idle.put(request)

    def _graph(self, batch: int) -> "_Graph":
        """That for single images, or that for any batch, which is compiled when it is first asked for."""
        if batch == 1 or not self._single.is_fixed:
            return self._single
        with self._compiling:
            if self._any_batch is None:
                self._any_batch = self._compile(batch=None)
            return self._any_batch

    def _compile(self, batch: int | None) -> "_Graph":
        return _off_this_thread(
            lambda: _compile(self._path, self.float_type, self.threads, self._slots, batch)
        )

    def _computes(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for node in self._single.compiled.get_runtime_model().get_ordered_ops():
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


@dataclass
class _Graph:
    """A compiled graph and the requests to it that wait for a call."""

    compiled: Any
    idle: LifoQueue[Any]
    inputs: Sequence[Any]
    """The file's own, before any size was fixed."""
    is_fixed: bool
    """Whether it takes one shape alone."""


def _compile(model_path: Path, float_type: str, threads: int, slots: int, batch: int | None) -> _Graph:
    """The graph for one batch size where the file leaves open nothing else, else as the file says."""
    try:
        core = ov.Core()
        model = core.read_model(str(model_path))
        inputs, is_fixed = list(model.clone().inputs), False
        if batch is not None and len(inputs) == 1:
            _, *sizes = inputs[0].partial_shape
            if not any(size.is_dynamic for size in sizes):
                model.reshape([batch, *(size.get_length() for size in sizes)])
                is_fixed = True
        compiled = core.compile_model(
            model,
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
        idle: LifoQueue[Any] = LifoQueue()
        for _ in range(slots):
            idle.put(compiled.create_infer_request())
        return _Graph(compiled, idle, inputs, is_fixed)
    except RuntimeError as error:
        raise PackageError(f"{model_path} cannot be loaded by OpenVINO: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """What is wrong, out of a message that begins with places in OpenVINO's own source."""
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    missing = [line for line in lines if line.startswith(_NO_OPERATOR)]
    return (missing or lines or ["it does not say why"])[-1]
