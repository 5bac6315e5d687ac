"""Look at a dataset before anyone trains on it, say what is wrong and how to mend it."""

import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from distill.datasets import learned_parts, open_dataset
from distill.datasets.dataset import DatasetSettings, MissingSplitError, SegDataset
from distill.datasets.files import FileDataset
from distill.datasets.folder import FolderSettings
from distill.datasets.images import ImagesDataset
from distill.diagnosis.diagnosis import Diagnosis
from distill.diagnosis.finding import Finding
from distill.diagnosis.rules import FILE_RULES, PAIR_RULES, VALUE_RULES, Rules
from distill.diagnosis.scan import Scan, scan
from distill.diagnosis.unlabelled_rules import UNLABELLED_RULES, masks_among_images
from distill.diagnosis.usual_mistakes import USUAL_MISTAKES
from modelpack.errors import DatasetError

logger = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")

QUICK_FILES = 2000
"""Samples per split that the check before training looks at."""
QUICK_BYTES = 500_000_000
"""Image files per split that it reads at most; large pictures take long to decode."""
QUICK_GENERATED = 64
"""Samples per split of a dataset that is drawn, not read."""

_REPORT_EVERY_S = 5.0


def examine(
    settings: DatasetSettings,
    needed: Collection[str] = ("train",),
    others: Collection[str] = SPLITS,
    *,
    quick: bool = False,
) -> Diagnosis:
    """Look at every sample of the splits `needed`, and of those of `others` that are there.

    quick: an even selection of large splits (see `QUICK_FILES`); the diagnosis says how many were looked at.
    """
    scans: list[Scan] = []
    findings: list[Finding] = []
    for split in (*needed, *(split for split in others if split not in needed)):
        try:
            parts = learned_parts(settings) if split == "train" else (open_dataset(settings, split),)
        except DatasetError as error:
            if split not in needed and isinstance(error, MissingSplitError):
                findings.append(Finding("info", split, "is not there; this recipe does not need it.", ""))
            else:
                findings.append(Finding("error", split, str(error), ""))
            continue
        for dataset in parts:
            indices = _chosen(dataset, quick)
            has_classes_file = isinstance(settings, FolderSettings)
            scans.append(scan(dataset, indices, _reporter(dataset), has_classes_file=has_classes_file))
            if isinstance(dataset, ImagesDataset):
                findings += _found(UNLABELLED_RULES, scans[-1])
                findings += masks_among_images(dataset, indices)
            else:
                findings += _of_split(scans[-1], USUAL_MISTAKES.get(settings.name, ()))
    for first, second in combinations(scans, 2):
        findings += [finding for rule in PAIR_RULES for finding in rule(first, second)]
    return Diagnosis(settings.name, scans, _merged(findings))


def _of_split(scanned: Scan, own_rules: Rules) -> list[Finding]:
    """An error that the dataset's own rules explain is not explained a second time by those for all."""
    own = _found(own_rules, scanned)
    is_explained = any(finding.severity == "error" for finding in own)
    return own + _found(FILE_RULES if is_explained else (*FILE_RULES, *VALUE_RULES), scanned)


def _found(rules: Rules, scanned: Scan) -> list[Finding]:
    return [finding for rule in rules for finding in rule(scanned)]


def _merged(findings: Sequence[Finding]) -> list[Finding]:
    """What holds for several splits alike, said once."""
    splits: dict[Finding, list[str]] = {}
    for finding in findings:
        splits.setdefault(replace(finding, split=""), []).append(finding.split)
    return [replace(finding, split="+".join(names)) for finding, names in splits.items()]


def check_before_training(settings: DatasetSettings, splits: Collection[str]) -> None:
    """Raises DatasetError listing everything that `examine` calls an error; logs warnings."""
    diagnosis = examine(settings, splits, (), quick=True)
    for scanned in diagnosis.scans:
        if scanned.looked_at < scanned.size and settings.root is not None:
            logger.info("%s: looked at %d of %d samples", scanned.split, scanned.looked_at, scanned.size)
    for finding in diagnosis.findings:
        if finding.severity == "warning":
            logger.warning("%s", finding)
    if diagnosis.errors:
        listed = " ".join(f"({number}) {finding}" for number, finding in enumerate(diagnosis.errors, 1))
        raise DatasetError(
            f"dataset {settings.name} cannot be trained on: {listed} "
            "`afdcd distill doctor RECIPE` shows all of it."
        )


def _chosen(dataset: SegDataset, quick: bool) -> Sequence[int]:
    """All samples, or evenly spread ones."""
    size = len(dataset)
    most = size
    if quick and isinstance(dataset, FileDataset):
        mean_bytes = max(
            1.0, float(np.mean([_file_bytes(dataset, index) for index in range(0, size, 1 + size // 50)]))
        )
        most = max(1, min(size, QUICK_FILES, int(QUICK_BYTES / mean_bytes)))
    elif quick:
        most = min(size, QUICK_GENERATED)
    return range(size) if most == size else np.linspace(0, size - 1, most).astype(int).tolist()


def _file_bytes(dataset: FileDataset, index: int) -> int:
    path = dataset.entries[index].image_path
    return path.stat().st_size if path.is_file() else 0


def _reporter(dataset: SegDataset) -> Callable[[int], None]:
    last = time.monotonic()

    def report(done: int) -> None:
        nonlocal last
        if time.monotonic() - last > _REPORT_EVERY_S:
            last = time.monotonic()
            logger.info("%s: looked at %d samples", dataset.split, done)

    return report
