"""TensorRT plans on an NVIDIA GPU, through whichever TensorRT they were built with; no torch."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from modelpack.errors import PackageError, RuntimeUnavailableError
from modelpack.runtimes.cuda_libraries import missing_device
from modelpack.runtimes.gathered import Gathered
from modelpack.runtimes.image_input import ImageInput
from modelpack.runtimes.runtime import StageTimes
from modelpack.tensorrt.batches import choose_profile, describe
from modelpack.tensorrt.cuda_device import open_device
from modelpack.tensorrt.engine import flavour_for, open_engine
from modelpack.tensorrt.lane import Lane
from modelpack.tensorrt.lane_pool import LanePool

DEFAULT_LANES = 2
"""Calls on the device at once: while one computes, the next one copies."""
_GPU_ONLY = "plans run on NVIDIA GPUs only (device=cuda); ONNX artifacts run on device=cpu"
_OLD_MAJOR = 8
"""Contexts of TensorRT 8 may not share a profile, so it gets one lane."""


class TensorRTRuntime:
    """One plan. Calls of `run` take turns on `threads` lanes, each with a stream and buffers of its own."""

    name: str = "tensorrt"
    artifact_kinds: ClassVar[frozenset[str]] = frozenset({"tensorrt"})

    def __init__(
        self, model_path: Path | str, *, device: Literal["auto", "cpu", "cuda"] = "auto", threads: int = 0
    ) -> None:
        """Load the plan; `threads` are calls on the device at once, 0 means 2.

        Raises RuntimeUnavailableError without a GPU that can run this plan, without the TensorRT that it was
        built with, and for `device="cpu"`; PackageError for a file that is no plan of a deployed graph.
        """
        path = Path(model_path)
        if path.suffix != ".plan":
            raise PackageError(f"{path} is no TensorRT plan (*.plan). ONNX graphs run with onnxruntime.")
        if device == "cpu":
            raise RuntimeUnavailableError(f"{path.name} cannot be run: {_GPU_ONLY}.")
        self._device = open_device()
        self._engine = open_engine(path)
        self._input = ImageInput.of_graph(path, [_open_axes(tensor) for tensor in self._engine.inputs])
        self.device = self._device.name
        self.provider = self._engine.flavour.title
        is_old = self._engine.flavour.name == "tensorrt" and self._engine.flavour.release[0] <= _OLD_MAJOR
        lanes = 1 if is_old else threads or DEFAULT_LANES
        self._lanes = LanePool(lambda: Lane(self._engine, self._device), lanes)

    @classmethod
    def obstacle(cls, model_path: Path, device: Literal["cpu", "cuda"]) -> str | None:
        """Why that plan cannot run there: no GPU, or not the TensorRT that its name tells."""
        if device == "cpu":
            return _GPU_ONLY
        if (reason := missing_device()) is not None:
            return reason
        try:
            flavour_for(model_path)
        except RuntimeUnavailableError as error:
            return str(error).rstrip(".")
        return None

    def run(self, images_nhwc_u8: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """All outputs by name for uint8 RGB (N, H, W, 3); more images than the plan takes go in parts.

        Raises ShapeError for what does not fit.
        """
        self._input.check(images_nhwc_u8)
        return self._run(Gathered([images_nhwc_u8]), is_timed=False)[0]

    def run_gathered(self, images_nhwc_u8: Sequence[NDArray[np.uint8]]) -> dict[str, NDArray[Any]]:
        """See `GatheringRuntime`: they are put together in a lane's pinned memory."""
        images = Gathered(images_nhwc_u8)
        self._input.check(images)
        return self._run(images, is_timed=False)[0]

    def run_timed(self, images_nhwc_u8: NDArray[np.uint8]) -> tuple[dict[str, NDArray[Any]], StageTimes]:
        """The same with the time of each stage, all parts together."""
        begun = time.perf_counter()
        self._input.check(images_nhwc_u8)
        outputs, times = self._run(Gathered([images_nhwc_u8]), is_timed=True)
        host_ms = (time.perf_counter() - begun) * 1e3
        return outputs, _total(times, host_ms)

    def describe(self) -> dict[str, Any]:
        engine = self._engine
        return {
            "runtime": self.name,
            "version": engine.flavour.version,
            "device": self.device,
            "provider": self.provider,
            "threads": self._lanes.most,
            "compute_capability": "{}.{}".format(*self._device.compute_capability),
            "profiles": [describe(profile) for profile in engine.profiles],
            "context_bytes": engine.context_bytes,
            "launches": self._launches(),
        }

    def close(self) -> None:
        self._lanes.close()
        self._engine.close()

    def _run(self, images: Gathered, *, is_timed: bool) -> tuple[dict[str, NDArray[Any]], list[StageTimes]]:
        profile, parts = choose_profile(self._engine.profiles, images.shape)
        answers, times = [], []
        with self._lanes.borrow() as lane:
            for start, size in zip(np.cumsum((0, *parts)), parts, strict=False):
                outputs, stages = lane.run(images.part(start, size), profile, is_timed=is_timed)
                answers.append(outputs)
                times += [stages] if stages is not None else []
        if len(answers) == 1:
            return answers[0], times
        return {name: np.concatenate([part[name] for part in answers]) for name in answers[0]}, times

    def _launches(self) -> dict[str, str]:
        """Shape -> `graph` or `direct`, of the first lane that decided."""
        ways = {shape: way for lane in reversed(self._lanes.lanes) for shape, way in lane.ways().items()}
        return {"x".join(map(str, shape)): way for shape, way in ways.items()}


def _open_axes(tensor: Any) -> tuple[str, str, tuple[int | None, ...]]:
    """As `ImageInput` takes it."""
    return tensor.name, tensor.dtype.name, tuple(None if size < 0 else size for size in tensor.shape)


def _total(times: list[StageTimes], host_ms: float) -> StageTimes:
    def added(stage: str) -> float:
        return float(sum(getattr(part, stage) for part in times))

    return StageTimes(
        enqueue_ms=added("enqueue_ms"),
        h2d_ms=added("h2d_ms"),
        compute_ms=added("compute_ms"),
        d2h_ms=added("d2h_ms"),
        host_ms=host_ms,
    )
