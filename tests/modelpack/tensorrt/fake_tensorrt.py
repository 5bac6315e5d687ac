"""TensorRT as the runtime uses it, over a `FakeDevice`: plans are JSON, their engines compute with numpy."""

import json
from enum import Enum, IntFlag
from typing import Any

import numpy as np

from modelpack.tensorrt.features import FlavourName
from modelpack.tensorrt.flavour import Flavour
from tests.modelpack.tensorrt.fake_device import FakeDevice
from tests.tiny_package import tiny_answer, tiny_confidence

VERSIONS: dict[FlavourName, str] = {"tensorrt": "10.13.3.9", "rtx": "1.7.1.116"}
NUM_CLASSES = 4
ANSWERS = {
    "mask": tiny_answer,
    "confidence": tiny_confidence,
    "logits": lambda images: images.astype(np.float32).transpose(0, 3, 1, 2)[:, [0, 1, 2, 0]] / 7,
}
Range = tuple[int, int, int]


def plan_bytes(
    *profiles: tuple[Range, Range, Range],
    image: str = "UINT8",
    logits: bool = False,
    brings_runtime: bool = False,
) -> bytes:
    """A plan whose profiles are (batch, height, width), each (minimum, optimum, maximum)."""
    outputs = ["mask", "confidence", *(["logits"] if logits else [])]
    content = {"profiles": profiles, "image": image, "outputs": outputs, "brings_runtime": brings_runtime}
    return json.dumps(content).encode()


def fake_flavour(device: FakeDevice, name: FlavourName = "rtx", version: str | None = None) -> Flavour:
    version = version or VERSIONS[name]
    members = {"device": device, "__version__": version, "Runtime": type("Runtime", (_Runtime,), {})}
    if name == "tensorrt":
        members["Runtime"] = type("Runtime", (_Runtime,), {"get_engine_validity": None})
        for absent in ("EngineValidity", "IRuntimeConfig"):
            members[absent] = None
    trt = type("trt", (_Module,), members)
    trt.Runtime.trt = trt
    return Flavour(name, version, trt)


class _Runtime:
    trt: Any
    validity: tuple[str, int] = ("VALID", 0)
    engine_host_code_allowed = False

    def __init__(self, logger: Any) -> None:
        self.logger = logger

    def get_engine_validity(self, plan: bytes) -> tuple[Any, int]:
        verdict, bits = self.validity
        return self.trt.EngineValidity[verdict], bits

    def deserialize_cuda_engine(self, plan: bytes) -> Any:
        try:
            content = json.loads(plan)
        except ValueError:
            self.logger.log(self.trt.ILogger.Severity.ERROR, "Serialization assertion magicTag failed")
            self.logger.log(self.trt.ILogger.Severity.ERROR, "... (cudaError 35: no driver)")
            return None
        if content["brings_runtime"] and not self.engine_host_code_allowed:
            self.logger.log(self.trt.ILogger.Severity.ERROR, "engine host code is not allowed")
            return None
        return self.trt.ICudaEngine(self.trt, content)


class _Context:
    """Holds what was set; runs with what is set at the call, on what the memory holds by then."""

    is_failing = False
    captures_after = 0

    def __init__(self, trt: Any, engine: Any) -> None:
        self.trt, self.engine = trt, engine
        self.profile: int | None = None
        self.shape: tuple[int, ...] | None = None
        self.addresses: dict[str, int] = {}
        self.questions = 0

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        self.profile = profile_index
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        least, _, most = self.engine.get_tensor_profile_shape(name, self.profile)
        self.shape = shape
        return all(low <= size <= high for low, size, high in zip(least, shape, most, strict=True))

    def infer_shapes(self) -> list[str]:
        return [] if self.shape else ["image"]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        batch, height, width, _ = self.shape
        return (batch, NUM_CLASSES, height, width) if name == "logits" else (batch, height, width)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self.addresses[name] = memory
        return True

    def is_stream_capturable(self, stream: int) -> bool:
        self.questions += 1
        return self.questions > self.captures_after

    def execute_async_v3(self, stream_handle: int) -> bool:
        if self.is_failing:
            self.engine.runtime_says("Error Code 1: Cask (Cask convolution execution)")
            return False
        device, shape, addresses = self.trt.device, self.shape, dict(self.addresses)

        def compute() -> None:
            images = device.array(addresses["image"], int(np.prod(shape))).reshape(shape).copy()
            for name in self.engine.outputs:
                answer = np.ascontiguousarray(ANSWERS[name](images))
                device.array(addresses[name], answer.nbytes)[:] = answer.view(np.uint8).ravel()

        device.put(stream_handle, compute)
        return True


class _Engine:
    device_memory_size_v2 = 1024
    name = "fake"

    def __init__(self, trt: Any, content: dict[str, Any]) -> None:
        self.trt, self.content, self.outputs = trt, content, content["outputs"]
        self.names = ["image", *self.outputs]
        self.num_io_tensors = len(self.names)
        self.num_optimization_profiles = len(content["profiles"])

    def runtime_says(self, text: str) -> None:
        from modelpack.tensorrt.messages import receive

        receive("ERROR", text)

    def get_tensor_name(self, index: int) -> str:
        return self.names[index]

    def get_tensor_mode(self, name: str) -> Any:
        return self.trt.TensorIOMode.INPUT if name == "image" else self.trt.TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> Any:
        kind = {"image": self.content["image"], "logits": "FLOAT"}.get(name, "UINT8")
        return self.trt.DataType[kind]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        least, _, most = self.get_tensor_profile_shape("image", 0)
        image = tuple(low if low == high else -1 for low, high in zip(least, most, strict=True))
        batch, height, width, _ = image
        return {"image": image, "logits": (batch, NUM_CLASSES, height, width)}.get(name, image[:3])

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        axes = self.content["profiles"][profile_index]
        return [(*(axis[place] for axis in axes), 3) for place in range(3)]

    def create_runtime_config(self) -> Any:
        return self.trt.IRuntimeConfig()

    def create_execution_context(self, settings: Any = None) -> Any:
        return self.trt.IExecutionContext(self.trt, self)


class _RuntimeCache:
    content = b"compiled kernels"
    read: bytes | None = None

    def deserialize(self, blob: bytes) -> bool:
        type(self).read = blob
        return blob == self.content

    def serialize(self) -> bytes:
        return self.content


class _RuntimeConfig:
    def create_runtime_cache(self) -> _RuntimeCache:
        return _RuntimeCache()

    def set_runtime_cache(self, cache: _RuntimeCache) -> bool:
        return True


class _Logger:
    Severity = Enum("Severity", "INTERNAL_ERROR ERROR WARNING INFO VERBOSE")


class _Module:
    """The members that the runtime uses; `device` is put in by `fake_flavour`."""

    ILogger = _Logger
    ICudaEngine = _Engine
    IExecutionContext = _Context
    IRuntimeConfig = _RuntimeConfig
    IRuntimeCache = _RuntimeCache
    BuilderFlag = Enum("BuilderFlag", "TF32 VERSION_COMPATIBLE")
    TensorIOMode = Enum("TensorIOMode", "NONE INPUT OUTPUT")
    DataType = Enum("DataType", "FLOAT HALF UINT8 INT8 INT32 INT64 BOOL BF16")
    EngineValidity = Enum("EngineValidity", "VALID SUBOPTIMAL INVALID")
    EngineInvalidityDiagnostics = IntFlag(
        "EngineInvalidityDiagnostics",
        "VERSION_MISMATCH UNSUPPORTED_CC OLD_CUDA_DRIVER OLD_CUDA_RUNTIME INSUFFICIENT_GPU_MEMORY "
        "MALFORMED_ENGINE CUDA_ERROR",
    )
