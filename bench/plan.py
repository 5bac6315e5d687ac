"""From settings to what will be measured: which graph in which worker, batch sizes and images."""

import hashlib
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import cv2
import numpy as np

from bench.boundaries import MAX_PIXELS
from bench.config import BenchConfig, Boundary
from modelpack.errors import ImageError, SettingsError, UnknownNameError
from modelpack.manifest import Artifact
from modelpack.package import ModelPackage
from modelpack.pixels import decode_image
from modelpack.runtimes import RUNTIMES, choose
from modelpack.runtimes.choice import Choice
from modelpack.tables import lookup

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
MAX_IMAGES = 8
"""More would only fill memory: the batches take them in turn."""
NOISE_SIZE = (360, 480)
"""(height, width) of the generated image where nothing else says a size."""
NOISE_GRAIN = 16
"""Pixels per independent value of the generated image, so that it compresses like a photograph."""


@dataclass(frozen=True)
class BenchImage:
    """One encoded image that every case is fed with."""

    name: str
    content: bytes
    size: tuple[int, int]
    """(height, width)."""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class PlannedSession:
    """One loaded graph: what a worker process holds."""

    name: str
    """Unique: the label, and whatever else differs between the sessions."""
    label: str
    package: ModelPackage
    artifact: Artifact
    runtime: str
    threads: int
    batch_sizes: tuple[int, ...]
    input_size: tuple[int, int]
    choice: str = ""
    """Why this artifact and runtime, where the loader chose them."""

    def cases(self, boundaries: tuple[Boundary, ...], batch: int, smallest: int) -> list[Boundary]:
        """Boundaries to measure at this batch size."""
        if batch not in self.batch_sizes:
            return []
        return [boundary for boundary in boundaries if boundary != "image" or batch == smallest]


@dataclass(frozen=True)
class Plan:
    """Everything that will be measured, and what was asked for but cannot be."""

    packages: tuple[ModelPackage, ...]
    sessions: tuple[PlannedSession, ...]
    images: tuple[BenchImage, ...]
    skipped: tuple[str, ...]


def make_plan(config: BenchConfig) -> Plan:
    """Open and check every package, and resolve the product of packages, artifacts, runtimes and threads.

    Raises PackageError for a damaged package, UnknownNameError for an artifact or runtime that is nowhere.
    """
    for runtime in config.runtimes:
        lookup(RUNTIMES, "runtime", runtime)
    packages = {label: ModelPackage.open(folder) for label, folder in config.packages.items()}
    images = _images(config, packages)
    has_choice = config.artifacts != "first" and any(len(p.manifest.artifacts) > 1 for p in packages.values())
    skipped: list[str] = []
    sessions = []
    for label, artifact, choice in _artifacts(config, packages, skipped):
        package = packages[label]
        batch_sizes = _batch_sizes(config, label, package, skipped)
        runtimes = config.runtimes if choice is None else (choice.runtime,)
        for runtime, threads in product(runtimes, config.threads):
            sessions.append(
                PlannedSession(
                    name=_name(config, label, artifact.name if has_choice else "", runtime, threads),
                    label=label,
                    package=package,
                    artifact=artifact,
                    runtime=runtime,
                    threads=threads,
                    batch_sizes=batch_sizes,
                    input_size=_input_size(config, package, images[0]),
                    choice=str(choice or ""),
                )
            )
    return Plan(tuple(packages.values()), tuple(sessions), images, tuple(skipped))


def _artifacts(
    config: BenchConfig, packages: dict[str, ModelPackage], skipped: list[str]
) -> list[tuple[str, Artifact, Choice | None]]:
    """Label and artifact; and the loader's choice, where it was asked."""
    if config.artifacts == "first":
        return [(label, package.artifact(), None) for label, package in packages.items()]
    if config.artifacts == "best":
        choices = {label: choose(package, device=config.device) for label, package in packages.items()}
        return [(label, packages[label].artifact(best.artifact), best) for label, best in choices.items()]
    if config.artifacts == "all":
        return [
            (label, artifact, None)
            for label, package in packages.items()
            for artifact in package.manifest.artifacts
        ]
    known = {artifact.name for package in packages.values() for artifact in package.manifest.artifacts}
    chosen: list[tuple[str, Artifact, Choice | None]] = []
    for label, package in packages.items():
        own = {artifact.name: artifact for artifact in package.manifest.artifacts}
        for name in config.artifacts:
            if name not in known:
                raise UnknownNameError("artifact", name, known)
            if name in own:
                chosen.append((label, own[name], None))
            else:
                skipped.append(f"{label} has no artifact {name}")
    return chosen


def _batch_sizes(
    config: BenchConfig, label: str, package: ModelPackage, skipped: list[str]
) -> tuple[int, ...]:
    fixed = package.manifest.inputs[0].shape[0]
    if not isinstance(fixed, int):
        return tuple(sorted(config.batch_sizes))
    if fixed not in config.batch_sizes:
        raise SettingsError(
            f"package {label!r} takes batches of exactly {fixed}, and batch_sizes is "
            f"{list(config.batch_sizes)}; add {fixed}, or export with a dynamic batch."
        )
    left_out = [str(batch) for batch in sorted(config.batch_sizes) if batch != fixed]
    if (
        left_out
        and (note := f"{label} takes batches of exactly {fixed}: not {', '.join(left_out)}") not in skipped
    ):
        skipped.append(note)
    return (fixed,)


def _name(config: BenchConfig, label: str, artifact: str, runtime: str, threads: int) -> str:
    """The label, and those of the rest that differ between the sessions."""
    parts = [label, artifact] if artifact else [label]
    if len(config.runtimes) > 1:
        parts.append(runtime)
    if len(config.threads) > 1:
        parts.append(f"{threads} thread{'s' * (threads != 1)}" if threads else "own threads")
    return " ".join(parts)


def _input_size(config: BenchConfig, package: ModelPackage, image: BenchImage) -> tuple[int, int]:
    """The graph's fixed size, else the stated one, else the first image's; rounded down to fit."""
    resizing, multiple = package.manifest.resizing, package.manifest.size_multiple
    if resizing.height is not None and resizing.width is not None:
        return resizing.height, resizing.width
    height, width = config.input_size or image.size
    return max(height // multiple, 1) * multiple, max(width // multiple, 1) * multiple


def _images(config: BenchConfig, packages: dict[str, ModelPackage]) -> tuple[BenchImage, ...]:
    if config.images is not None:
        files = sorted(path for path in config.images.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        if not files:
            raise SettingsError(
                f"images {config.images}: there is no {', '.join(IMAGE_SUFFIXES)} file in that folder."
            )
        return tuple(read_image(path) for path in files[:MAX_IMAGES])
    for package in packages.values():
        if package.manifest.samples:
            return tuple(
                read_image(package.path / sample.image) for sample in package.manifest.samples[:MAX_IMAGES]
            )
    first = next(iter(packages.values())).manifest.resizing
    fixed = (first.height, first.width) if first.height is not None and first.width is not None else None
    return (noise_image(fixed or config.input_size or NOISE_SIZE, config.seed),)


def read_image(path: Path) -> BenchImage:
    """An encoded image from disk. Raises SettingsError for one that does not decode."""
    content = path.read_bytes()
    try:
        height, width = decode_image(content, max_pixels=MAX_PIXELS).shape[:2]
    except ImageError as error:
        raise SettingsError(f"image {path}: {error}") from error
    return BenchImage(path.name, content, (height, width))


def noise_image(size: tuple[int, int], seed: int) -> BenchImage:
    """A generated JPEG of (height, width) that compresses like a photograph."""
    height, width = size
    coarse = (height // NOISE_GRAIN + 2, width // NOISE_GRAIN + 2, 3)
    grains = np.random.default_rng(seed).integers(0, 256, coarse, dtype=np.uint8)
    _, encoded = cv2.imencode(".jpg", cv2.resize(grains, (width, height), interpolation=cv2.INTER_CUBIC))
    return BenchImage(f"noise (seed {seed})", bytes(encoded), size)
