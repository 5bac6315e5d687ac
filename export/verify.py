"""Is this package what its manifest says, and does it still answer here as it did where it was made?"""

from pathlib import Path
from typing import Literal

from export.graph import MASK
from modelpack.errors import GateError
from modelpack.package import ModelPackage
from modelpack.pixels import decode_image
from modelpack.runtimes import open_runtime
from modelpack.settings import StrictModel

MIN_SAMPLE_AGREEMENT = 0.99
"""Share of a sample's pixels. Looser than the gate: an image has few pixels, other CPUs round otherwise."""
MAX_SAMPLE_PIXELS = 1 << 28
"""Samples are our own, but a package may come from anywhere."""


class SampleCheck(StrictModel):
    """One sample answered by one artifact."""

    artifact: str
    sample: str
    agreement: float


def verify(
    package_dir: Path, device: Literal["auto", "cpu", "cuda"] = "auto", threads: int = 0
) -> tuple[SampleCheck, ...]:
    """Check every hash and replay every sample through every artifact.

    Raises PackageError for a damaged package, GateError naming the first artifact and sample that disagree.
    """
    package = ModelPackage.open(package_dir)
    checks = []
    for artifact in package.manifest.artifacts:
        runtime = open_runtime(package, artifact=artifact.name, device=device, threads=threads)
        try:
            for sample, image_bytes, expected_hw in package.samples():
                image_hwc = decode_image(image_bytes, max_pixels=MAX_SAMPLE_PIXELS)
                mask_hw = runtime.run(package.manifest.resizing.resize_image(image_hwc)[None])[MASK][0]
                same = mask_hw.shape == expected_hw.shape and float((mask_hw == expected_hw).mean())
                checks.append(SampleCheck(artifact=artifact.name, sample=sample.image, agreement=float(same)))
        finally:
            runtime.close()
    worst = min(checks, key=lambda check: check.agreement, default=None)
    if worst is not None and worst.agreement < MIN_SAMPLE_AGREEMENT:
        raise GateError(
            f"package {package_dir}: {worst.artifact} answers {worst.sample} as stored for "
            f"{worst.agreement:.4f} of its pixels, required are {MIN_SAMPLE_AGREEMENT}. "
            "Manifest, graph and samples do not belong together; build the package again."
        )
    return tuple(checks)
