"""ONNX Runtime on the CPU or on CUDA, never on another device than the one asked for."""

import logging
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from modelpack.errors import PackageError, RuntimeUnavailableError, SegError, ShapeError
from modelpack.runtimes.cuda_libraries import missing_device, preload_wheel_libraries

try:
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as ort_state
except ImportError as _error:
    raise RuntimeUnavailableError(
        f"ONNX Runtime cannot be imported ({_error}). Install afdcd[serve] (CPU) or afdcd[serve-gpu], "
        "never both: onnxruntime and onnxruntime-gpu overwrite each other."
    ) from _error

log = logging.getLogger(__name__)

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_LOG_ERRORS_ONLY = 3
_LOAD_ERRORS = (
    ort_state.Fail,
    ort_state.InvalidArgument,
    ort_state.InvalidGraph,
    ort_state.InvalidProtobuf,
    ort_state.NoModel,
    ort_state.NoSuchFile,
    ort_state.NotImplemented,
    ort_state.RuntimeException,
    RuntimeError,
    ValueError,
)
_RUN_ERRORS = (ort_state.Fail, ort_state.InvalidArgument, ort_state.RuntimeException, ort_state.EPFail)


class OnnxRuntime:
    """One session. ONNX Runtime allows concurrent calls of `run` on it."""

    name = "onnxruntime"

    def __init__(
        self, model_path: Path | str, *, device: Literal["auto", "cpu", "cuda"] = "auto", threads: int = 0
    ) -> None:
        """Load the graph; `threads` are those inside one operator on the CPU, 0 means one per physical core.

        `auto` is CUDA where it really works and the CPU elsewhere; the log says why. Raises
        RuntimeUnavailableError for `cuda` where it does not work, PackageError for a file that is no deployed
        graph.
        """
        self.threads = threads
        self._session = _open_session(Path(model_path), device, threads)
        self.provider: str = self._session.get_providers()[0]
        self.device = "cuda:0" if self.provider == _CUDA else "cpu"
        self._input = _deployed_input(self._session, model_path)

    def run(self, images_nhwc_u8: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """All outputs by name for uint8 RGB (N, H, W, 3); raises ShapeError for what does not fit."""
        self._check(images_nhwc_u8)
        try:
            outputs = self._session.run(None, {self._input.name: images_nhwc_u8})
        except _RUN_ERRORS as error:
            raise SegError(
                f"{self.provider} failed on images of shape {images_nhwc_u8.shape}: {_first_line(error)}"
            ) from error
        return {spec.name: output for spec, output in zip(self._session.get_outputs(), outputs, strict=True)}

    def describe(self) -> dict[str, Any]:
        return {
            "runtime": self.name,
            "version": ort.__version__,
            "device": self.device,
            "provider": self.provider,
            "threads": self.threads,
        }

    def close(self) -> None:
        self._session = None

    def _check(self, images: NDArray[np.uint8]) -> None:
        wanted = tuple(self._input.shape)
        fits = images.dtype == np.uint8 and images.ndim == len(wanted) and images.size > 0
        if fits and all(
            not isinstance(size, int) or size == got for size, got in zip(wanted, images.shape, strict=True)
        ):
            return
        shape = ", ".join(str(size) for size in wanted)
        raise ShapeError(
            f"the graph takes {self._input.name} uint8 ({shape}), got {images.dtype} {images.shape}. "
            "Resize the images to that size and pass RGB with the channels last."
        )


def _open_session(model_path: Path, device: Literal["auto", "cpu", "cuda"], threads: int) -> Any:
    if device == "cpu":
        return _session_on(_CPU, model_path, threads)
    session, reason = _try_cuda(model_path, threads)
    if session is not None:
        return session
    # A file that is to blame itself fails here too, with its own error.
    on_cpu = _session_on(_CPU, model_path, threads)
    if device == "cuda":
        raise RuntimeUnavailableError(
            f"device cuda is not available: {reason}. Use device=cpu to run without it."
        )
    log.info("running on the CPU: %s", reason)
    return on_cpu


def _try_cuda(model_path: Path, threads: int) -> tuple[Any | None, str]:
    """(a session that really is on CUDA, "") or (None, why not): ONNX Runtime falls back silently."""
    if _CUDA not in ort.get_available_providers():
        return None, "the installed onnxruntime is built without CUDA (put onnxruntime-gpu in its place)"
    if (reason := missing_device()) is not None:
        return None, reason
    preload_wheel_libraries()
    try:
        session = _session_on(_CUDA, model_path, threads)
    except PackageError as error:
        return None, f"the graph does not load there ({error})"
    if session.get_providers()[0] == _CUDA:
        return session, ""
    return None, (
        f"this onnxruntime needs the libraries of CUDA {getattr(ort, 'cuda_version', '')} and cuDNN 9, and "
        "one is missing or too old (install the torch that is built for them, or put them on LD_LIBRARY_PATH)"
    )


def _session_on(provider: str, model_path: Path, threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin while idle take the cores from decoding and from other sessions.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = _LOG_ERRORS_ONLY
    providers = [_CPU] if provider == _CPU else [_CUDA, _CPU]
    try:
        # With its fallback on, a failing CUDA session is replaced by one on the CPU, even in mid-run.
        return ort.InferenceSession(str(model_path), options, providers=providers, enable_fallback=0)
    except _LOAD_ERRORS as error:
        raise PackageError(f"{model_path} cannot be loaded by ONNX Runtime: {_first_line(error)}") from error


def _deployed_input(session: Any, model_path: Path | str) -> Any:
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(uint8)" or len(inputs[0].shape) != 4:
        found = ", ".join(f"{spec.name} {spec.type} {spec.shape}" for spec in inputs)
        raise PackageError(
            f"{model_path} is no deployed graph: it takes {found}, and must take one uint8 (N, H, W, 3)."
        )
    return inputs[0]


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
