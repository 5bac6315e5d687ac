"""Measure the claimed mIoU again, on the images that the claim is about."""

from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from distill.data_list import list_data
from distill.datasets import DATASETS, open_dataset
from distill.datasets.dataset import DatasetSettings, SegDataset
from export.progress import track
from export.verification.answers import Place
from export.verification.check import PACKAGE, Check, judged, not_run
from modelpack.errors import PackageError, RuntimeUnavailableError, SegError
from modelpack.manifest import Claim
from modelpack.metrics import ConfusionMatrix
from modelpack.package import ModelPackage
from modelpack.preprocess import resize_mask
from modelpack.replay import COMPUTES_IN, infer_mask
from modelpack.runtimes.runtime import Runtime
from modelpack.settings import parse_settings
from modelpack.tables import lookup

CHECK = "miou"
MAX_DIFFERENCE_POINTS = {"fp32": 0.1, "fp16": 0.2, "bf16": 0.5, "int8": 0.5}
"""Most that a claim may be off here, up or down, in points of mIoU (0-100): other processors round otherwise,
and 8 bits round most."""


def read_data_settings(package: ModelPackage, data_root: Path | None) -> DatasetSettings:
    """The dataset of the package's lineage, where it lies now. Raises PackageError where it names none."""
    try:
        values: dict[str, Any] = package.manifest.lineage["run"]["settings"]["data"]
    except (KeyError, TypeError):
        raise PackageError(
            f"package {package.path}: its lineage names no dataset, so nothing can be measured again."
        ) from None
    entry = lookup(DATASETS, "dataset", str(values.get("name")))
    root = {} if data_root is None else {"root": data_root}
    return parse_settings(entry.settings, {**values, **root}, f"{package.path}: lineage.run.settings.data")


def check_data(package: ModelPackage, settings: DatasetSettings) -> Check:
    """Whether the images are those that the package was exported with."""
    due = package.manifest.lineage.get("dataset", {}).get("sha256")
    if due is None:
        return not_run("data", PACKAGE, "the lineage holds no hash of the images")
    found = {split: entry.sha256 for split, entry in list_data(settings).items()}
    others = [split for split in due if found.get(split) != due[split]]
    detail = (
        f"{', '.join(others)} of {settings.root} differ from what the package was exported with"
        if others
        else f"{', '.join(due)}: the images that the package was exported with"
    )
    return judged("data", PACKAGE, not others, detail)


def check_miou(package: ModelPackage, place: Place, settings: DatasetSettings, threads: int) -> Check:
    """Run the claim's images and compare within `MAX_DIFFERENCE_POINTS`."""
    name = place.artifact.name
    claim = next((c for c in package.manifest.claims if (c.name, c.artifact) == ("miou", name)), None)
    if claim is None:
        return not_run(CHECK, name, "nothing is claimed of it", place.runtime)
    if place.obstacle is not None:
        return not_run(CHECK, name, place.obstacle, place.runtime)
    absent = package.manifest.lineage["run"]["settings"].get("evaluation", {}).get("absent", "skip")
    try:
        dataset = open_dataset(settings, claim.split)
        with closing(place.open(package, threads)) as runtime:
            measured = _measure(package, runtime, dataset, claim, absent)
    except RuntimeUnavailableError as error:
        return not_run(CHECK, name, str(error), place.runtime)
    except SegError as error:
        return judged(CHECK, name, False, str(error), place.runtime)
    precisions = (place.artifact.precision, COMPUTES_IN.get(place.runtime, place.artifact.precision))
    allowed = max(MAX_DIFFERENCE_POINTS[precision] for precision in precisions)
    off = 100 * (measured - claim.value)
    found = (
        f"{100 * measured:.3f} here, {100 * claim.value:.3f} claimed ({claim.dataset} {claim.split}, "
        f"{claim.images} images), off by {off:+.3f} points, allowed are {allowed}"
    )
    return judged(CHECK, name, abs(off) <= allowed, found, place.runtime)


def _measure(
    package: ModelPackage,
    runtime: Runtime,
    dataset: SegDataset,
    claim: Claim,
    absent: Literal["skip", "zero"],
) -> float:
    """Mean IoU (0-1) over the first images of the split, each mask brought to its label's size."""
    manifest = package.manifest
    confusion = ConfusionMatrix(manifest.labels.num_classes)
    for index in track(range(min(claim.images, len(dataset))), f"measuring {claim.artifact}"):
        sample = dataset[index]
        mask_hw = infer_mask(runtime, manifest, manifest.resizing.resize_image(sample.image_hwc))
        confusion.update(resize_mask(mask_hw, *sample.mask_hw.shape), sample.mask_hw)
    return confusion.miou(absent)
