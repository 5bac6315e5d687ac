"""The accuracy gate: every artifact must answer as the PyTorch student does, or nothing is written."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import onnx

from distill.datasets.dataset import SegDataset
from export.artifact_runtime import OpenArtifact, open_all
from export.config import ExportConfig
from export.errors import ParityError, StageError
from export.graph_faults import graph_faults
from export.parity import Comparison, FileFacts, NotRun, compare
from export.precision.artifact import PROOF, read_proof
from export.precision.proof import PrecisionProof
from export.reference import RecordedAnswers
from export.targets.target import Target
from export.worst_images import write_worst_images
from modelpack.atomic import write_json
from modelpack.environment import fingerprint
from modelpack.errors import PackageError, RuntimeUnavailableError, SegError
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
    exported: onnx.ModelProto
    """The deployed graph in float32, which all artifacts are made from."""
    passed: list[Comparison] = field(default_factory=list)
    not_run: list[NotRun] = field(default_factory=list)

    def admit(self, name: str, target: Target, path: Path, details: Mapping[str, Any]) -> Comparison | None:
        """`check`, or None for a plan that this machine cannot run: it is noted as such and never as passed.

        Its precision is proved all the same, from the network that was built.
        """
        try:
            return self.check(name, target, path, details)
        except RuntimeUnavailableError as error:
            if target.kind == "onnx":
                raise
            proof = self._proof(name, target, path, details)
            self.not_run.append(NotRun(artifact=name, reason=str(error), precision_proof=proof))
            log.warning("%s was not run here, nothing of it is measured: %s", name, error)
            return None

    def check(
        self, name: str, target: Target, path: Path, details: Mapping[str, Any] = MappingProxyType({})
    ) -> Comparison:
        """Raises PrecisionError, or ParityError once reports are in `rejected_dir`; both name the stage.

        RuntimeUnavailableError: this machine cannot run the artifact.
        """
        self._proof(name, target, path, details).check(name)
        return self.judge(self.measure(name, target, path, details))

    def judge(self, comparison: Comparison) -> Comparison:
        """Let an artifact pass that was measured; raises as `check` does."""
        parity = comparison.parity
        parity.precision_proof.check(parity.artifact)
        if parity.broken:
            raise self.refusal(comparison)
        log.info(
            "%s against the PyTorch network on %d images: agreement %.5f, mIoU %+.3f points; computed in %s",
            parity.artifact,
            parity.images,
            parity.agreement,
            parity.miou_difference_points,
            parity.computed_in,
        )
        self.passed.append(comparison)
        return comparison

    def refusal(self, comparison: Comparison, remark: str = "") -> ParityError:
        """The error to raise, with the reports in `rejected_dir`. `remark`: a sentence on what was tried."""
        parity, folder = comparison.parity, rejected_dir(self.config)
        shutil.rmtree(folder, ignore_errors=True)
        self.write_reports(folder, [*self.passed, comparison])
        return ParityError(
            parity.artifact,
            f"{parity.artifact} is refused, it differs from the network it came from: "
            f"{'; '.join(parity.broken)} ({parity.images} images of {self.dataset_name} "
            f"{self.dataset.split}). {remark}{' ' if remark else ''}"
            f"{self.config.package_dir} is left as it was; figures and worst images are in {folder}.",
        )

    def measure(
        self, name: str, target: Target, path: Path, details: Mapping[str, Any] = MappingProxyType({})
    ) -> Comparison:
        """All figures, and in `parity.broken` all that is wrong. Writes nothing and passes no judgement.

        Raises ParityError for what cannot be measured: a file that does not load, a mask of another form.
        RuntimeUnavailableError: this machine cannot run the artifact.
        """
        proof = self._proof(name, target, path, details)
        try:
            with open_all(path, target.kind, target.precision, self.config.device) as opened:
                return compare(
                    name,
                    opened,
                    self.answers,
                    self.dataset,
                    facts=self._facts(opened, target, path, proof),
                    resizing=self.resizing,
                    rule=self.config.parity.rule_for(name, target.rule),
                    absent=self.absent,
                    worst_images=self.config.parity.worst_images,
                )
        except (StageError, RuntimeUnavailableError):
            raise
        except SegError as error:
            raise ParityError(name, f"{name} is refused: {error}") from error

    def _facts(self, opened: OpenArtifact, target: Target, path: Path, proof: PrecisionProof) -> FileFacts:
        faults = graph_faults(onnx.load(path), self.exported) if target.kind == "onnx" else ()
        return FileFacts(proof, opened.executed(path, self.config.device), tuple(faults))

    def _proof(self, name: str, target: Target, path: Path, details: Mapping[str, Any]) -> PrecisionProof:
        try:
            return read_proof(name, path, target.kind, target.precision, details)
        except PackageError as error:
            raise ParityError(name, f"{name} is refused: {error}") from error

    def write_reports(self, folder: Path, comparisons: Sequence[Comparison]) -> None:
        """`parity.json`, `accuracy.json`, the settings, and pictures of the worst images of each artifact."""
        labels = self.dataset.labels
        write_json(folder / SETTINGS_FILE, self.config.model_dump(mode="json"))
        write_json(
            folder / PARITY_FILE,
            {
                **self.conditions(),
                "artifacts": [c.parity.model_dump(mode="json") for c in comparisons],
                "not_run": [entry.model_dump(mode="json") for entry in self.not_run],
            },
        )
        accuracy = {c.parity.artifact: c.confusion_artifact.to_dict(labels) for c in comparisons}
        accuracy["reference"] = comparisons[0].confusion_reference.to_dict(labels)
        write_json(folder / ACCURACY_FILE, {**self.conditions(), "accuracy": accuracy})
        for comparison in comparisons:
            pictures = folder / "worst" / comparison.parity.artifact
            write_worst_images(pictures, comparison.worst, self.dataset, self.resizing, labels)

    def has_passed(self, name: str) -> bool:
        return any(comparison.parity.artifact == name for comparison in self.passed)

    def facts(self, name: str) -> dict[str, Any]:
        """For the manifest: what an artifact proved, the rule it passed, and by which figures."""
        for comparison in self.passed:
            if comparison.parity.artifact == name:
                parity = comparison.parity
                return {
                    PROOF: parity.precision_proof.model_dump(),
                    "rule": parity.rule.model_dump(),
                    "parity": parity.summary(),
                }
        entry = next(entry for entry in self.not_run if entry.artifact == name)
        return {PROOF: entry.precision_proof.model_dump(), "not_run": entry.reason}

    def claims(self) -> tuple[Claim, ...]:
        """The mIoU of the reference, mIoU and agreement of every packed artifact that passed."""
        figures = [("miou", "reference", self.passed[0].parity.miou_reference)]
        for parity in (comparison.parity for comparison in self.passed):
            if parity.artifact not in self.config.targets:
                continue
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
