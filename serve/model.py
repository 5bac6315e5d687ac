"""A package that was opened, checked, loaded and proved on its own samples: what may answer requests."""

import logging
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelpack.errors import GateError
from modelpack.manifest import Artifact, Manifest
from modelpack.package import ModelPackage
from modelpack.pixels import decode_image
from modelpack.runtimes import open_runtime
from modelpack.runtimes.runtime import Runtime
from serve.settings import ServeSettings

logger = logging.getLogger(__name__)

REPLAY_AGREEMENT = {"fp32": 0.99, "fp16": 0.99, "bf16": 0.98, "int8": 0.95}
"""Least share of equal pixels for each replayed sample, by precision. The replay proves that this machine
computes what the package was built for; how good that is was decided by the stricter gates of the export."""


@dataclass(frozen=True)
class ServedModel:
    """One loaded artifact. `infer` may be called from any thread."""

    manifest: Manifest
    artifact: Artifact
    runtime: Runtime

    @property
    def title(self) -> str:
        """`name:version`."""
        return f"{self.manifest.name}:{self.manifest.version}"

    def fit(self, image_hwc: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) RGB of any size to the size that the graph sees, before any padding."""
        return self.manifest.resizing.resize_image(image_hwc)

    def infer(self, image_hwc: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) RGB as `fit` gives it to (H, W) class indices.

        A graph of dynamic size sees the image padded (right, bottom) with the mean colour to `size_multiple`.
        """
        height, width = image_hwc.shape[:2]
        masks_nhw = self.runtime.run(self._pad(image_hwc)[None])["mask"]
        return np.ascontiguousarray(masks_nhw[0, :height, :width])

    def _pad(self, image_hwc: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = image_hwc.shape[:2]
        multiple = self.manifest.size_multiple
        padded_size = -(-height // multiple) * multiple, -(-width // multiple) * multiple
        if padded_size == (height, width):
            return image_hwc
        padded = np.empty((*padded_size, 3), np.uint8)
        padded[:] = np.rint(self.manifest.normalisation.mean_rgb).astype(np.uint8)
        padded[:height, :width] = image_hwc
        return padded

    def describe(self) -> dict[str, Any]:
        """What `/v1/model` answers: the manifest's summary, and what runs where."""
        manifest = self.manifest
        return {
            "name": manifest.name,
            "version": manifest.version,
            "created": manifest.created,
            "classes": [
                {"index": index, "name": name, "color": colour}
                for index, (name, colour) in enumerate(
                    zip(manifest.labels.names, manifest.labels.palette, strict=True)
                )
            ],
            "input": {"height": manifest.resizing.height, "width": manifest.resizing.width},
            "artifact": self.artifact.model_dump(mode="json", exclude={"path"}),
            "runtime": self.runtime.describe(),
            "claims": [claim.model_dump(mode="json") for claim in manifest.claims],
            "lineage": manifest.lineage,
        }


@dataclass(frozen=True)
class Replay:
    """How the packaged samples came out on this machine."""

    agreements: tuple[float, ...]
    """Share of equal pixels, one for each sample."""
    infer_ms: tuple[float, ...]
    """Time of the graph alone, one for each sample."""

    def __str__(self) -> str:
        if not self.agreements:
            return "no samples to replay"
        return (
            f"{len(self.agreements)} samples replayed: agreement {min(self.agreements):.4f} or better, "
            f"{median(self.infer_ms):.1f} ms (median)"
        )


def load_model(settings: ServeSettings) -> tuple[ServedModel, Replay]:
    """Open the package with all its checksums, load the artifact and replay the samples.

    Raises PackageError, UnknownNameError, RuntimeUnavailableError, or GateError for a sample gone wrong.
    """
    package = ModelPackage.open(settings.package)
    runtime = open_runtime(
        package,
        artifact=settings.artifact,
        runtime=settings.runtime,
        device=settings.device,
        threads=settings.threads,
    )
    model = ServedModel(package.manifest, package.artifact(settings.artifact), runtime)
    return model, replay_samples(package, model, settings)


def replay_samples(package: ModelPackage, model: ServedModel, settings: ServeSettings) -> Replay:
    """Run the packaged images and compare with the packaged masks.

    A package without samples is run once on a blank image, so that no request pays for the warm-up. Raises
    GateError for the first sample below `settings.min_agreement` (None: `REPLAY_AGREEMENT` of the precision).
    """
    threshold = settings.min_agreement
    if threshold is None:
        threshold = REPLAY_AGREEMENT[model.artifact.precision]
    agreements, durations_ms = [], []
    for sample, image_bytes, expected_hw in package.samples():
        image_hwc = model.fit(decode_image(image_bytes, max_pixels=settings.max_pixels))
        start = perf_counter()
        mask_hw = model.infer(image_hwc)
        durations_ms.append((perf_counter() - start) * 1000)
        agreement = float((mask_hw == expected_hw).mean()) if mask_hw.shape == expected_hw.shape else 0.0
        if agreement < threshold:
            raise GateError(
                f"package {package.path}: the mask of artifact {model.artifact.name!r} for {sample.image} on "
                f"{model.runtime.provider} equals the packaged one in {agreement:.4f} of the pixels, and "
                f"{threshold} is asked for. Use another artifact or runtime, or set min_agreement."
            )
        agreements.append(agreement)
    if not agreements:
        logger.warning("package %s has no samples: it is served without having been replayed", package.path)
        size = model.manifest.resizing.height or 64, model.manifest.resizing.width or 64
        model.infer(np.zeros((*size, 3), np.uint8))
    return Replay(tuple(agreements), tuple(durations_ms))
