"""Step `tensorrt`: the package's graphs as plans of every TensorRT that is installed, run and compared."""

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afdcd.gpu.step import Context, Note, StepSkippedError
from export.precision.artifact import KEPT
from export.tensorrt.plan import build_plan, plan_name
from export.tensorrt.settings import ShapeProfile, TensorRTSettings
from modelpack.errors import GateError, RuntimeUnavailableError, SegError
from modelpack.manifest import Artifact
from modelpack.package import ModelPackage
from modelpack.pixels import decode_image
from modelpack.runtimes.onnxruntime import OnnxRuntime
from modelpack.runtimes.runtime import Runtime, TimedRuntime
from modelpack.runtimes.tensorrt import TensorRTRuntime
from modelpack.tensorrt.flavour import MODULES, Flavour, find_flavour

BATCHES = (1, 4, 16)
"""Smallest, most usual and largest of the plans' profile; each is timed."""
RUNS = 60
"""Timed calls per batch, after as many that decide how the plan is launched."""
LEAST_AGREEMENT = 0.99
"""Share of the samples' pixels, with the same graph in ONNX Runtime. Kernels of float16 round otherwise."""
MAX_PIXELS = 1 << 28
MASK = "mask"


def run(context: Context, note: Note) -> None:
    if not context.package.is_dir():
        raise StepSkippedError("there is no package to build plans from: the export left none")
    package = ModelPackage.open(context.package)
    flavours, missing = installed()
    note("installed", [{"flavour": flavour.title} for flavour in flavours] + missing)
    if not flavours:
        raise StepSkippedError("; ".join(row["reason"] for row in missing))
    rows: list[dict[str, Any]] = []
    timings: list[dict[str, Any]] = []
    for flavour in flavours:
        for artifact in package.manifest.artifacts:
            if artifact.kind == "onnx":
                row, latencies = tried(flavour, package, artifact, context)
                rows.append(row)
                timings += latencies
                note("plans", rows)
                note("latency", timings)
    ran = [row for row in rows if "agreement" in row]
    if not ran:
        raise StepSkippedError("; ".join(dict.fromkeys(f"{row['flavour']}: {row['reason']}" for row in rows)))
    unlike = [f"{row['flavour']} {row['precision']}" for row in ran if row["agreement"] < LEAST_AGREEMENT]
    if unlike:
        raise GateError(f"these plans answer unlike the graphs they were built from: {', '.join(unlike)}.")


def installed() -> tuple[list[Flavour], list[dict[str, str]]]:
    """What can be imported, and a row with the reason for each that cannot."""
    found, missing = [], []
    for name in MODULES:
        try:
            found.append(find_flavour(name))
        except RuntimeUnavailableError as error:
            missing.append({"flavour": name, "reason": str(error)})
    return found, missing


def tried(
    flavour: Flavour, package: ModelPackage, artifact: Artifact, context: Context
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A row on one plan, with the reason where it is not built or does not run, and rows on its latency."""
    images = sample_images(package)
    height, width = images.shape[1:3]
    profile = ShapeProfile(batch=BATCHES, height=(height,) * 3, width=(width,) * 3)
    settings = TensorRTSettings(flavour=flavour.name, profiles=(profile,))
    row: dict[str, Any] = {"flavour": flavour.title, "precision": artifact.precision}
    graph = package.path / artifact.path
    try:
        plan = context.work / "engines" / str(plan_name(artifact.precision, settings))
        kept = artifact.details.get(KEPT, ())
        built = build_plan(graph, plan, artifact.precision, settings, kept_float32=kept)
        row |= {
            "build_s": built.details["build_seconds"],
            "plan_bytes": plan.stat().st_size,
            "in_precision": f"{built.proof.in_claimed} of {built.proof.nodes}",
            "established": built.proof.established,
        }
        runtime = TensorRTRuntime(plan)
    except SegError as error:
        return row | {"reason": str(error)}, []
    try:
        row["agreement"] = agreement(runtime, graph, images, context)
        latencies = list(timed(runtime, images))
        row["launches"] = ", ".join(f"{shape} {way}" for shape, way in runtime.describe()["launches"].items())
    finally:
        runtime.close()
    return row, [{"flavour": flavour.title, "precision": artifact.precision, **entry} for entry in latencies]


def agreement(runtime: Runtime, graph: Path, images: NDArray[np.uint8], context: Context) -> float:
    """Share of pixels to which the plan and its graph in ONNX Runtime give the same class."""
    reference = OnnxRuntime(graph, device=context.device)
    try:
        return float((runtime.run(images)[MASK] == reference.run(images)[MASK]).mean())
    finally:
        reference.close()


def timed(runtime: TimedRuntime, images: NDArray[np.uint8]) -> Iterator[dict[str, Any]]:
    """Medians for every batch size, of calls one after the other, copies included."""
    for batch in BATCHES:
        repeated = np.resize(images, (batch, *images.shape[1:]))
        calls = [runtime.run_timed(repeated)[1] for _ in range(2 * RUNS)][RUNS:]
        stages = ("enqueue_ms", "h2d_ms", "compute_ms", "d2h_ms", "host_ms")
        yield {
            "batch": batch,
            **{stage: statistics.median(getattr(call, stage) for call in calls) for stage in stages},
        }


def sample_images(package: ModelPackage) -> NDArray[np.uint8]:
    """Those of the package's samples that have the first one's size, (N, H, W, 3)."""
    resizing = package.manifest.resizing
    images = [
        resizing.resize_image(decode_image(image, max_pixels=MAX_PIXELS)) for _, image, _ in package.samples()
    ]
    return np.stack([image for image in images if image.shape == images[0].shape])
