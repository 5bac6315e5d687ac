"""ONNX Runtime on the CPU or on CUDA, never on another device than the one asked for."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from modelpack.errors import PackageError, RuntimeUnavailableError, SegError
from modelpack.runtimes.cuda_libraries import missing_device, preload_wheel_libraries
from modelpack.runtimes.gathered import Gathered
from modelpack.runtimes.host_buffer import PlainMemory
from modelpack.runtimes.image_input import ImageInput
from modelpack.runtimes.page_locked import page_locked_memory
from modelpack.runtimes.runtime import StageTimes

try:
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

    from modelpack.runtimes.staged_session import StagedSession
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
_RUN_ERRORS = (
    ort_state.Fail,
    ort_state.InvalidArgument,
    ort_state.RuntimeException,
    ort_state.EPFail,
    RuntimeError,  # of IO binding, which copies to the device already
)


class OnnxRuntime:
    """One session. ONNX Runtime allows concurrent calls of `run` on it."""

    name = "onnxruntime"
    artifact_kinds: ClassVar[frozenset[str]] = frozenset({"onnx"})

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
        self._input = ImageInput.of_graph(
            model_path,
            [(spec.name, _plain_type(spec.type), spec.shape) for spec in self._session.get_inputs()],
        )

    @classmethod
    def obstacle(cls, model_path: Path, device: Literal["cpu", "cuda"]) -> str | None:
        """Why no graph runs on that device here, as far as can be told without loading one."""
        return None if device == "cpu" else _cuda_obstacle()

    def run(self, images_nhwc_u8: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """All outputs by name for uint8 RGB (N, H, W, 3); raises ShapeError for what does not fit."""
        self._input.check(images_nhwc_u8)
        with self._explained(images_nhwc_u8):
            outputs = self._session.run(None, {self._input.name: images_nhwc_u8})
        return self._named(outputs)

    def run_gathered(self, images_nhwc_u8: Sequence[NDArray[np.uint8]]) -> dict[str, NDArray[Any]]:
        """See `GatheringRuntime`."""
        images = Gathered(images_nhwc_u8)
        self._input.check(images)
        with self._explained(images):
            return self._named(self._staged.run(images))

    def run_timed(self, images_nhwc_u8: NDArray[np.uint8]) -> tuple[dict[str, NDArray[Any]], StageTimes]:
        """On CUDA the arrays are moved by hand, so that each copy is seen; on the CPU there is none."""
        begun = time.perf_counter()
        self._input.check(images_nhwc_u8)
        with self._explained(images_nhwc_u8):
            outputs, copied_in, computed, done = _run_in_stages(
                self._session, self._input.name, images_nhwc_u8, self.device.partition(":")[0]
            )
        named = self._named(outputs)
        has_copies = self.provider == _CUDA
        return named, StageTimes(
            enqueue_ms=None,
            h2d_ms=(copied_in - begun) * 1e3 if has_copies else None,
            compute_ms=(computed - copied_in) * 1e3,
            d2h_ms=(done - computed) * 1e3 if has_copies else None,
            host_ms=(time.perf_counter() - begun) * 1e3,
        )

    def describe(self) -> dict[str, Any]:
        return {
            "runtime": self.name,
            "version": ort.__version__,
            "device": self.device,
            "provider": self.provider,
            "threads": self.threads,
        }

    def close(self) -> None:
        if "_staged" in vars(self):
            self._staged.close()
        self._session = None

    @cached_property
    def _staged(self) -> StagedSession:
        memory = page_locked_memory() if self.provider == _CUDA else PlainMemory()
        return StagedSession(self._session, memory)

    def _named(self, outputs: list[NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return {spec.name: output for spec, output in zip(self._session.get_outputs(), outputs, strict=True)}

    @contextmanager
    def _explained(self, images: NDArray[np.uint8] | Gathered) -> Iterator[None]:
        try:
            yield
        except _RUN_ERRORS as error:
            raise SegError(
                f"{self.provider} failed on images of shape {images.shape}: {_first_line(error)}"
            ) from error


def _run_in_stages(
    session: Any, input_name: str, images: NDArray[np.uint8], device: str
) -> tuple[list[NDArray[Any]], float, float, float]:
    """Outputs, and `time.perf_counter` when the images were on `device`, the graph done, the outputs back."""
    binding = session.io_binding()
    if device == "cpu":
        binding.bind_cpu_input(input_name, np.ascontiguousarray(images))
    else:
        moved = ort.OrtValue.ortvalue_from_numpy(images, device, 0)
        binding.bind_ortvalue_input(input_name, moved)
    for spec in session.get_outputs():
        binding.bind_output(spec.name, device)
    binding.synchronize_inputs()
    copied_in = time.perf_counter()
    session.run_with_iobinding(binding)
    binding.synchronize_outputs()
    computed = time.perf_counter()
    outputs = binding.copy_outputs_to_cpu()
    return outputs, copied_in, computed, time.perf_counter()


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
    if (reason := _cuda_obstacle()) is not None:
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


def _cuda_obstacle() -> str | None:
    if _CUDA not in ort.get_available_providers():
        return "the installed onnxruntime is built without CUDA (put onnxruntime-gpu in its place)"
    return missing_device()


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


def _plain_type(onnx_type: str) -> str:
    """`tensor(uint8)` to `uint8`."""
    return onnx_type.removeprefix("tensor(").removesuffix(")")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
