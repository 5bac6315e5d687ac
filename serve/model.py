"""A package that was opened, checked, loaded and proved on its own samples: what may answer requests."""

import logging
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from modelpack.errors import GateError
from modelpack.manifest import Artifact, Manifest
from modelpack.package import ModelPackage
from modelpack.replay import infer_mask, least_agreement, replay
from modelpack.runtimes import open_best
from modelpack.runtimes.runtime import Runtime
from serve.settings import ServeSettings

logger = logging.getLogger(__name__)

CONFIDENCE = "confidence"
"""Output that a package may have: probability of each pixel's class, uint8, 255 = 1."""


@dataclass(frozen=True)
class ServedModel:
    """One loaded artifact. `infer` may be called from any thread."""

    manifest: Manifest
    artifact: Artifact
    runtime: Runtime
    manifest_sha256: str
    choice: str
    """Why this artifact in this runtime."""
    signed_by: str | None = None
    """The trusted key that signed the package; None where none was asked for."""

    @cached_property
    def title(self) -> str:
        """`name:version`."""
        return f"{self.manifest.name}:{self.manifest.version}"

    @cached_property
    def origin(self) -> str:
        """What every answer carries: enough to find the manifest, and in it all that made the mask."""
        manifest = self.manifest
        version, artifact = (quote(text, safe="") for text in (manifest.version, self.artifact.name))
        return f"{manifest.name};version={version};artifact={artifact};sha256={self.manifest_sha256}"

    def fit(self, image_hwc: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) RGB of any size to the size that the graph sees, before any padding."""
        return self.manifest.resizing.resize_image(image_hwc)

    def infer(self, image_hwc: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) RGB as `fit` gives it to (H, W) class indices."""
        return infer_mask(self.runtime, self.manifest, image_hwc)

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
            "outputs": [spec.name for spec in manifest.outputs],
            "artifact": self.artifact.model_dump(mode="json", exclude={"path"}),
            "runtime": self.runtime.describe(),
            "choice": self.choice,
            "manifest_sha256": self.manifest_sha256,
            "signed_by": self.signed_by,
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

    Raises PackageError (SignatureError where no trusted key signed it), UnknownNameError,
    RuntimeUnavailableError, or GateError for a sample gone wrong.
    """
    package = ModelPackage.open(settings.package, trusted_keys=settings.trusted_keys)
    choice, runtime = open_best(
        package,
        artifact=settings.artifact,
        runtime=settings.runtime,
        device=settings.device,
        threads=settings.threads,
    )
    model = ServedModel(
        package.manifest,
        package.artifact(choice.artifact),
        runtime,
        package.manifest_sha256,
        str(choice),
        package.signed_by,
    )
    return model, replay_samples(package, model, settings)


def replay_samples(package: ModelPackage, model: ServedModel, settings: ServeSettings) -> Replay:
    """Run the packaged images and compare with the packaged masks.

    A package without samples is run once on a blank image, so that no request pays for the warm-up. Raises
    GateError for the first sample below `settings.min_agreement` (None: `modelpack.replay.LEAST_AGREEMENT`).
    """
    threshold = settings.min_agreement
    if threshold is None:
        threshold = least_agreement(model.artifact, model.runtime.name)
    agreements, durations_ms = [], []
    for sample in replay(package, model.runtime, max_pixels=settings.max_pixels):
        if sample.agreement < threshold:
            raise GateError(
                f"package {package.path}: the mask of artifact {model.artifact.name!r} for {sample.image} on "
                f"{model.runtime.provider} equals the packaged one in {sample.agreement:.4f} of the pixels, "
                f"and {threshold} is asked for. Use another artifact or runtime, or set min_agreement."
            )
        agreements.append(sample.agreement)
        durations_ms.append(sample.infer_ms)
    if not agreements:
        logger.warning("package %s has no samples: it is served without having been replayed", package.path)
        size = model.manifest.resizing.height or 64, model.manifest.resizing.width or 64
        model.infer(np.zeros((*size, 3), np.uint8))
    return Replay(tuple(agreements), tuple(durations_ms))
