"""The accuracy gate: every artifact must answer as the PyTorch student does, or nothing is written."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import onnx

from distill.datasets.dataset import SegDataset
from export.artifact_runtime import open_artifact, open_probe
from export.config import ExportConfig, ParityRule
from export.errors import ParityError
from export.parity import Comparison, compare
from export.reference import RecordedAnswers
from export.targets.target import Target
from export.worst_images import write_worst_images
from modelpack.atomic import write_json
from modelpack.environment import fingerprint
from modelpack.errors import PackageError, ShapeError
from modelpack.manifest import Claim
from modelpack.preprocess import Resizing

log = logging.getLogger(__name__)

SETTINGS_FILE, PARITY_FILE, ACCURACY_FILE = "settings.json", "parity.json", "accuracy.json"


@dataclass
class Gate:
    """Holds artifact after artifact against the recorded answers, up to the first that breaks its rule."""

    config: ExportConfig
    dataset_name: str
    dataset: SegDataset
    resizing: Resizing
    answers: RecordedAnswers
    absent: Literal["skip", "zero"]
    passed: list[Comparison] = field(default_factory=list)

    def check(self, name: str, target: Target, path: Path) -> Comparison:
        """Raises ParityError, after the reports went to `rejected_dir`."""
        rule = self.config.parity.rule_for(name, target.rule)
        comparison = self._compare(name, path, rule)
        parity = comparison.parity
        if parity.broken:
            folder = rejected_dir(self.config)
            shutil.rmtree(folder, ignore_errors=True)
            self.write_reports(folder, [*self.passed, comparison])
            raise ParityError(
                name,
                f"{name} is refused, it differs from the network it came from: {'; '.join(parity.broken)} "
                f"({parity.images} images of {self.dataset_name} {self.dataset.split}). "
                f"No package is written; figures and worst images are in {folder}.",
            )
        log.info(
            "%s against the PyTorch network on %d images: agreement %.5f, mIoU %+.3f points",
            name,
            parity.images,
            parity.agreement,
            parity.miou_difference_points,
        )
        self.passed.append(comparison)
        return comparison

    def _compare(self, name: str, path: Path, rule: ParityRule) -> Comparison:
        try:
            with (
                open_artifact(path, self.config.device) as runtime,
                open_probe(onnx.load(path), self.config.device) as (probe, probe_logits),
            ):
                return compare(
                    name,
                    runtime,
                    self.answers,
                    self.dataset,
                    probe=probe,
                    probe_logits=probe_logits,
                    resizing=self.resizing,
                    rule=rule,
                    absent=self.absent,
                    worst_images=self.config.parity.worst_images,
                )
        except (PackageError, ShapeError) as error:
            raise ParityError(name, f"{name} is refused: {error}") from error

    def write_reports(self, folder: Path, comparisons: Sequence[Comparison]) -> None:
        """`parity.json`, `accuracy.json`, the settings, and pictures of the worst images of each artifact."""
        labels = self.dataset.labels
        write_json(folder / SETTINGS_FILE, self.config.model_dump(mode="json"))
        write_json(
            folder / PARITY_FILE,
            {**self.conditions(), "artifacts": [c.parity.model_dump(mode="json") for c in comparisons]},
        )
        accuracy = {c.parity.artifact: c.confusion_artifact.to_dict(labels) for c in comparisons}
        accuracy["reference"] = comparisons[0].confusion_reference.to_dict(labels)
        write_json(folder / ACCURACY_FILE, {**self.conditions(), "accuracy": accuracy})
        for comparison in comparisons:
            pictures = folder / "worst" / comparison.parity.artifact
            write_worst_images(pictures, comparison.worst, self.dataset, self.resizing, labels)

    def claims(self) -> tuple[Claim, ...]:
        """The mIoU of the reference, mIoU and agreement of every artifact that passed."""
        figures = [("miou", "reference", self.passed[0].parity.miou_reference)]
        for comparison in self.passed:
            parity = comparison.parity
            figures.append(("miou", parity.artifact, parity.miou_artifact))
            figures.append(("agreement", parity.artifact, parity.agreement))
        size = self.answers.first_size
        return tuple(
            Claim(
                name=name,
                value=value,
                artifact=artifact,
                dataset=self.dataset_name,
                split=self.dataset.split,
                images=len(self.answers.indices),
                image_size=size,
                device=self.config.device,
            )
            for name, artifact, value in figures
        )

    def conditions(self) -> dict[str, Any]:
        """What the figures were measured on and with."""
        return {
            "dataset": self.dataset_name,
            "split": self.dataset.split,
            "images": len(self.answers.indices),
            "image_size": self.answers.first_size,
            "device": self.config.device,
            "low_margin": self.answers.low_margin,
            "environment": fingerprint(),
        }


def rejected_dir(config: ExportConfig) -> Path:
    return config.package_dir.with_name(f"{config.package_dir.name}.rejected")
