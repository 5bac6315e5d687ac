"""A plan, loaded: its tensors, its profiles, and contexts to run it in."""

import hashlib
import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modelpack.errors import PackageError, RuntimeUnavailableError, SegError
from modelpack.tensorrt.flavour import Flavour, find_flavour
from modelpack.tensorrt.messages import collected, shared_logger
from modelpack.tensorrt.plan_name import PlanName
from modelpack.tensorrt.runtime_cache import RuntimeCache

log = logging.getLogger(__name__)

Shape = tuple[int, ...]

NUMPY_TYPES = {
    "BOOL": np.bool_, "FLOAT": np.float32, "HALF": np.float16, "INT32": np.int32, "INT64": np.int64,
    "INT8": np.int8, "UINT8": np.uint8,
}  # fmt: skip
REASONS = {
    "VERSION_MISMATCH": "it was built by another version",
    "UNSUPPORTED_CC": "this GPU's generation is not supported by it",
    "OLD_CUDA_DRIVER": "the NVIDIA driver is too old",
    "OLD_CUDA_RUNTIME": "the CUDA runtime is too old",
    "INSUFFICIENT_GPU_MEMORY": "the GPU has too little memory",
    "MALFORMED_ENGINE": "the file is no whole plan",
    "CUDA_ERROR": "CUDA gave an error",
}
"""Bits of a verdict, in words."""
_BUILD_HERE = "Build the package again with this TensorRT on this machine, or run one of its ONNX artifacts."


@dataclass(frozen=True)
class TensorInfo:
    """One input or output; -1 in its shape is open."""

    name: str
    dtype: np.dtype[Any]
    shape: Shape
    is_input: bool


@dataclass(frozen=True)
class Profile:
    """A range of shapes of the image that the plan has kernels for, (N, H, W, C)."""

    index: int
    minimum: Shape
    optimum: Shape
    maximum: Shape

    def takes_image(self, image: Shape) -> bool:
        """Whether images of (H, W, C) fit, whatever the batch."""
        axes = zip(self.minimum[1:], image, self.maximum[1:], strict=True)
        return all(least <= size <= most for least, size, most in axes)


class Engine:
    """One deserialised plan. Contexts made from it may run side by side."""

    def __init__(self, flavour: Flavour, runtime: Any, cuda_engine: Any, plan_sha256: str) -> None:
        self.flavour, self._cuda_engine, self._plan_sha256 = flavour, cuda_engine, plan_sha256
        self._runtime = runtime  # an engine must not outlive it
        self._cache: RuntimeCache | None = None
        self._lock = threading.Lock()
        names = [cuda_engine.get_tensor_name(index) for index in range(cuda_engine.num_io_tensors)]
        self.tensors = tuple(self._describe(name) for name in names)
        image = next((tensor.name for tensor in self.tensors if tensor.is_input), None)
        self.profiles = tuple(
            Profile(index, *(tuple(shape) for shape in cuda_engine.get_tensor_profile_shape(image, index)))
            for index in range(cuda_engine.num_optimization_profiles if image else 0)
        )

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        return tuple(tensor for tensor in self.tensors if tensor.is_input)

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        return tuple(tensor for tensor in self.tensors if not tensor.is_input)

    @property
    def context_bytes(self) -> int:
        """Device memory that one context takes for activations."""
        if self.flavour.has("memory_size_64"):
            return int(self._cuda_engine.device_memory_size_v2)
        return int(self._cuda_engine.device_memory_size)

    def new_context(self, profile: Profile, stream: int) -> Any:
        """An `IExecutionContext` for one profile, to be used on that stream."""
        with self._lock, collected() as messages:
            context = self._cuda_engine.create_execution_context(*self._context_settings())
            if context is None or not context.set_optimization_profile_async(profile.index, stream):
                raise SegError(
                    f"{self.flavour.title} makes no context of {self.context_bytes} bytes for profile "
                    f"{profile.index}: {messages.first_error('it does not say why')}"
                )
        return context

    def information(self) -> str:
        """What `EngineInspector` tells of all layers, as JSON."""
        inspector = self._cuda_engine.create_engine_inspector()
        told: str = inspector.get_engine_information(self.flavour.trt.LayerInformationFormat.JSON)
        return told

    def close(self) -> None:
        """Keep what was compiled for the next time. Contexts must be gone."""
        if self._cache is not None:
            self._cache.save()
        self._cuda_engine = None

    def _context_settings(self) -> tuple[Any, ...]:
        """Arguments for a context: with TensorRT-RTX, the cache of what it compiles."""
        if not self.flavour.has("runtime_cache"):
            return ()
        if self._cache is None:
            self._cache = RuntimeCache.of(self.flavour, self._cuda_engine, self._plan_sha256)
        return (self._cache.settings,)

    def _describe(self, name: str) -> TensorInfo:
        cuda_engine, trt = self._cuda_engine, self.flavour.trt
        kind = cuda_engine.get_tensor_dtype(name).name
        if kind not in NUMPY_TYPES:
            raise PackageError(f"the plan's tensor {name} is {kind}, which numpy does not have.")
        is_input = cuda_engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        shape = tuple(cuda_engine.get_tensor_shape(name))
        return TensorInfo(name, np.dtype(NUMPY_TYPES[kind]), shape, is_input)


def open_engine(path: Path) -> Engine:
    """Load a plan with the TensorRT that its name tells.

    Raises RuntimeUnavailableError where that TensorRT is not here, is of another version, or does not support
    this GPU; PackageError for a file that is no plan.
    """
    flavour = flavour_for(path)
    try:
        plan = path.read_bytes()
    except OSError as error:
        raise PackageError(f"{path} cannot be read: {error}.") from error
    runtime = flavour.trt.Runtime(shared_logger(flavour))
    name = PlanName.of(path)
    if name is not None and name.is_version_compatible and flavour.has("version_compatible"):
        runtime.engine_host_code_allowed = True  # such a plan brings its runtime; the manifest's hash vouches
    with collected() as messages:
        if flavour.has("engine_validity"):
            _ask_for_validity(flavour, runtime, plan, path)
        cuda_engine = runtime.deserialize_cuda_engine(plan)
        if cuda_engine is None:
            reason = messages.first_error("it does not say why")
            raise RuntimeUnavailableError(
                f"{flavour.title} does not load {path.name}: {reason}. {_BUILD_HERE}"
            )
    return Engine(flavour, runtime, cuda_engine, hashlib.sha256(plan).hexdigest())


def flavour_for(path: Path) -> Flavour:
    """The installed TensorRT that may load the plan; raises RuntimeUnavailableError where none may."""
    name = PlanName.of(path)
    if name is None:
        return find_flavour()
    flavour = find_flavour(name.flavour)
    if flavour.version != name.version and not (
        name.is_version_compatible and _numbers(flavour.version) >= _numbers(name.version)
    ):
        raise RuntimeUnavailableError(
            f"{path.name} was built by version {name.version} and runs with no other; installed is "
            f"{flavour.title}. {_BUILD_HERE}"
        )
    return flavour


def _ask_for_validity(flavour: Flavour, runtime: Any, plan: bytes, path: Path) -> None:
    verdict, bits = runtime.get_engine_validity(plan)
    validity, diagnostics = flavour.trt.EngineValidity, flavour.trt.EngineInvalidityDiagnostics
    reasons = [words for name, words in REASONS.items() if int(bits) & int(getattr(diagnostics, name))]
    said = "; ".join(reasons) or "it does not say why"
    if verdict == validity.INVALID and int(bits) & int(diagnostics.MALFORMED_ENGINE):
        raise PackageError(f"{path} is no whole plan of {flavour.title}. Copy the package again.")
    if verdict == validity.INVALID:
        raise RuntimeUnavailableError(f"{flavour.title} cannot run {path.name} here: {said}. {_BUILD_HERE}")
    if verdict == validity.SUBOPTIMAL:
        log.warning(
            "%s runs %s, but not as fast as one built for this machine: %s", flavour.title, path.name, said
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
