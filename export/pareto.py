"""Accuracy against latency and size, for every graph that a build measured: packed, tried or refused."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from export.parity import ArtifactParity
from modelpack.errors import RuntimeUnavailableError
from modelpack.runtimes import RUNTIMES
from modelpack.runtimes.runtime import Runtime, RuntimeClass
from modelpack.settings import StrictModel
from modelpack.tables import resolve

QUICK = "quick, in process, one image, one thread; see `afdcd bench latency` for figures to quote"
TIMED_RUNTIMES = ("onnxruntime", "openvino")
"""What opens ONNX files and computes in the precision that they ask for."""
ROUNDS, FEWEST_ROUNDS, WARM_UP_RUNS = 15, 3, 2
BUDGET_S = 30.0
"""Rounds end early where all graphs together take longer than this."""


@dataclass(frozen=True)
class Measured:
    """One ONNX file and what the gate measured of it."""

    path: Path
    parity: ArtifactParity
    kept_layers: int
    is_packed: bool


class ParetoPoint(StrictModel):
    """One graph in the plane of costs and accuracy."""

    artifact: str
    precision: str
    kept_layers: int
    """Layers in float32 by a rescue."""
    is_packed: bool
    passes: bool
    """Whether it holds its rule."""
    miou: float
    """0..1, on the gate's images."""
    agreement: float
    size_bytes: int
    latency_ms: float
    """Median of one image in process, in the faster runtime."""
    runtime: str
    """The faster one of those in `all_latencies_ms`. Accuracy was measured in the gate's."""
    all_latencies_ms: dict[str, float]
    """Of every runtime of `TIMED_RUNTIMES` that this machine has."""
    is_on_front: bool
    """No other graph is at least as accurate, fast and small, and better in one of them."""


def place(
    measured: Sequence[Measured], image_nhwc: NDArray[np.uint8], device: Literal["cpu", "cuda"]
) -> tuple[ParetoPoint, ...]:
    """Time all files on one image (1, H, W, 3), turn by turn, and mark the front."""
    latencies_ms = _median_latencies_ms([one.path for one in measured], image_nhwc, device)
    fastest = [min(medians, key=medians.__getitem__) for medians in latencies_ms]
    sizes = [one.path.stat().st_size for one in measured]
    costs = [
        (-one.parity.miou_artifact, medians[runtime], size_bytes)
        for one, medians, runtime, size_bytes in zip(measured, latencies_ms, fastest, sizes, strict=True)
    ]
    return tuple(
        ParetoPoint(
            artifact=one.parity.artifact,
            precision=one.parity.precision_proof.claimed,
            kept_layers=one.kept_layers,
            is_packed=one.is_packed,
            passes=not one.parity.broken,
            miou=one.parity.miou_artifact,
            agreement=one.parity.agreement,
            size_bytes=size_bytes,
            latency_ms=medians[runtime],
            runtime=runtime,
            all_latencies_ms=medians,
            is_on_front=not any(_beats(other, cost) for other in costs),
        )
        for one, medians, runtime, size_bytes, cost in zip(
            measured, latencies_ms, fastest, sizes, costs, strict=True
        )
    )


def _beats(other: tuple[float, ...], cost: tuple[float, ...]) -> bool:
    return other != cost and all(a <= b for a, b in zip(other, cost, strict=True))


def _median_latencies_ms(
    paths: Sequence[Path], image_nhwc: NDArray[np.uint8], device: Literal["cpu", "cuda"]
) -> list[dict[str, float]]:
    """For each file, runtime -> median."""
    opened = [_open(path, device) for path in paths]
    turns: list[tuple[Runtime, list[float]]] = [
        (runtime, []) for runtimes in opened for runtime in runtimes.values()
    ]
    try:
        for runtime, _ in turns:
            for _run in range(WARM_UP_RUNS):
                runtime.run(image_nhwc)
        started = time.perf_counter()
        for done in range(ROUNDS):
            if done >= FEWEST_ROUNDS and time.perf_counter() - started > BUDGET_S:
                break
            for runtime, samples_ms in turns:
                before = time.perf_counter()
                runtime.run(image_nhwc)
                samples_ms.append(1e3 * (time.perf_counter() - before))
    finally:
        for runtime, _ in turns:
            runtime.close()
    medians = iter(median(samples_ms) for _, samples_ms in turns)
    return [{name: next(medians) for name in runtimes} for runtimes in opened]


def _open(path: Path, device: Literal["cpu", "cuda"]) -> dict[str, Runtime]:
    """The file in every runtime of `TIMED_RUNTIMES` that is installed and runs it on the device."""
    opened: dict[str, Runtime] = {}
    for name in TIMED_RUNTIMES:
        try:
            runtime_class: RuntimeClass = resolve(RUNTIMES[name])
        except RuntimeUnavailableError:
            continue
        if runtime_class.obstacle(path, device) is None:
            opened[name] = runtime_class(path, device=device, threads=1)
    return opened
