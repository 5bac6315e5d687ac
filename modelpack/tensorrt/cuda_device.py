"""The first CUDA device, through NVIDIA's `cuda-bindings`: no torch, and importable without a driver."""

import ctypes
from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelpack.errors import RuntimeUnavailableError
from modelpack.runtimes.cuda_libraries import missing_device
from modelpack.tensorrt.device import DeviceError

_why_missing = ""
try:
    from cuda.bindings import runtime as cudart
except ImportError as _error:
    cudart, _why_missing = None, str(_error)

_INDEX = 0
"""`CUDA_VISIBLE_DEVICES` chooses another."""
_MIB = 1 << 20


def open_device() -> "CudaDevice":
    """The device; raises RuntimeUnavailableError saying what is missing."""
    if (reason := missing_device()) is not None:
        raise RuntimeUnavailableError(f"TensorRT needs an NVIDIA GPU: {reason}.")
    if cudart is None:
        raise RuntimeUnavailableError(
            f"device memory needs cuda-bindings, which cannot be imported ({_why_missing}). "
            "`pip install cuda-bindings` in the major version of the driver's CUDA."
        )
    return CudaDevice()


class CudaDevice:
    """See `Device`."""

    def __init__(self) -> None:
        self.name = f"cuda:{_INDEX}"
        attributes = cudart.cudaDeviceAttr
        major, minor = (
            _call(cudart.cudaDeviceGetAttribute, attribute, _INDEX)
            for attribute in (
                attributes.cudaDevAttrComputeCapabilityMajor,
                attributes.cudaDevAttrComputeCapabilityMinor,
            )
        )
        self.compute_capability = (int(major), int(minor))

    def allocate(self, size_bytes: int) -> int:
        return int(_call(cudart.cudaMalloc, size_bytes, what=f"{_in_mib(size_bytes)} of device memory"))

    def free(self, address: int) -> None:
        _call(cudart.cudaFree, address)

    def allocate_pinned(self, size_bytes: int) -> NDArray[np.uint8]:
        address = _call(
            cudart.cudaMallocHost, size_bytes, what=f"{_in_mib(size_bytes)} of page-locked memory"
        )
        return np.ctypeslib.as_array((ctypes.c_uint8 * size_bytes).from_address(int(address)))

    def free_pinned(self, host: NDArray[np.uint8]) -> None:
        _call(cudart.cudaFreeHost, host.ctypes.data)

    def new_stream(self) -> int:
        return int(_call(cudart.cudaStreamCreateWithFlags, cudart.cudaStreamNonBlocking))

    def free_stream(self, stream: int) -> None:
        _call(cudart.cudaStreamDestroy, stream)

    def wait(self, stream: int) -> None:
        _call(cudart.cudaStreamSynchronize, stream)

    def copy_in(self, address: int, host: NDArray[np.uint8], stream: int) -> None:
        kind = cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
        _call(cudart.cudaMemcpyAsync, address, host.ctypes.data, host.nbytes, kind, stream)

    def copy_out(self, host: NDArray[np.uint8], address: int, stream: int) -> None:
        kind = cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
        _call(cudart.cudaMemcpyAsync, host.ctypes.data, address, host.nbytes, kind, stream)

    def begin_capture(self, stream: int) -> None:
        # Only this thread's calls are held to the rules of a capture; others may allocate meanwhile.
        mode = cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        _call(cudart.cudaStreamBeginCapture, stream, mode)

    def end_capture(self, stream: int) -> Hashable:
        noted = _call(cudart.cudaStreamEndCapture, stream)
        try:
            graph: Hashable = _call(cudart.cudaGraphInstantiate, noted, 0)
        finally:
            _call(cudart.cudaGraphDestroy, noted)
        return graph

    def launch(self, graph: Hashable, stream: int) -> None:
        _call(cudart.cudaGraphLaunch, graph, stream)

    def free_graph(self, graph: Hashable) -> None:
        _call(cudart.cudaGraphExecDestroy, graph)

    def new_event(self) -> Hashable:
        event: Hashable = _call(cudart.cudaEventCreate)
        return event

    def free_event(self, event: Hashable) -> None:
        _call(cudart.cudaEventDestroy, event)

    def record(self, event: Hashable, stream: int) -> None:
        _call(cudart.cudaEventRecord, event, stream)

    def elapsed_ms(self, begin: Hashable, end: Hashable) -> float:
        return float(_call(cudart.cudaEventElapsedTime, begin, end))


def _call(function: Any, *arguments: Any, what: str = "") -> Any:
    """The function's one result, or None; raises DeviceError for any status but success."""
    status, *results = function(*arguments)
    if status != cudart.cudaError_t.cudaSuccess:
        _, words = cudart.cudaGetErrorString(status)
        raise DeviceError(
            f"{what or function.__name__} failed on cuda:{_INDEX}: {words.decode()} ({status.name})."
        )
    return results[0] if results else None


def _in_mib(size_bytes: int) -> str:
    return f"{size_bytes / _MIB:.1f} MiB"
