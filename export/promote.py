"""Run what a package has never run, and make it a verified part of the package if it passes the gate.

A TensorRT plan is often built where no GPU is. On the machine that has one it goes through the whole gate,
against the PyTorch network that the package was made from.
"""

import logging
import tempfile
from pathlib import Path
from typing import Any

import onnx

from distill.datasets import open_dataset
from distill.run import TrainingRun, load_student
from export.config import ExportConfig
from export.errors import ExportError
from export.gate import Gate
from export.gate_images import open_gate, run_data
from export.lineage import hash_weights
from export.model_card import render_model_card
from export.reference import Reference
from export.run_check import check_weights
from export.targets import TARGETS
from modelpack.atomic import write_json, write_text
from modelpack.environment import fingerprint
from modelpack.manifest import Artifact, Manifest
from modelpack.package import MANIFEST_NAME, SIGNATURE_NAME, ModelPackage
from modelpack.settings import parse_settings
from modelpack.tables import lookup

log = logging.getLogger(__name__)

REPORTS = "reports/promoted"


def promote(package_dir: Path, run_dir: Path | None = None, data_root: Path | None = None) -> ModelPackage:
    """Put every artifact that was never run through the gate, here, and rewrite the manifest once.

    run_dir, data_root: where the training run and its dataset lie now; None: where the export found them.
    A signature is taken away, because the manifest is another one. Raises ExportError where nothing is to be
    done or the run is another, RuntimeUnavailableError where this machine cannot run an artifact, and
    ParityError for one that does not hold its rule; the package is then left as it was.
    """
    package = ModelPackage.open(package_dir)
    waiting = [artifact for artifact in package.manifest.artifacts if not artifact.is_verified]
    if not waiting:
        raise ExportError(f"package {package_dir} holds nothing that was never run; there is nothing to do.")
    config = _settings(package, run_dir, data_root)
    run = TrainingRun.open(config.run_dir)
    check_weights(run)
    network = load_student(run)
    if hash_weights(network) != package.manifest.lineage.get("weights_sha256"):
        raise ExportError(
            f"the run {config.run_dir} holds other weights than package {package_dir} was made from. "
            "Name the right one with --run."
        )
    dataset = open_dataset(run_data(config, run), config.parity.split)
    with tempfile.TemporaryDirectory() as scratch:
        reference = Reference(network, config.device)
        exported = onnx.ModelProto()  # only ONNX files are held against it, and those always ran
        gate = open_gate(config, run, reference, dataset, package.manifest.resizing, Path(scratch), exported)
        for artifact in waiting:
            gate.check(
                artifact.name,
                lookup(TARGETS, "export target", artifact.name),
                package.artifact_path(artifact.name),
                artifact.details,
            )
            log.info("%s holds its rule", artifact.name)
        gate.write_reports(package.path / REPORTS, gate.passed)
    _rewrite(package, gate, config)
    return ModelPackage.open(package_dir)


def _settings(package: ModelPackage, run_dir: Path | None, data_root: Path | None) -> ExportConfig:
    """Those that the package was exported with, at today's places. Its refusals go beside the package."""
    written = package.manifest.lineage.get("export")
    if not isinstance(written, dict):
        raise ExportError(f"package {package.path}: its lineage names no export settings; build it again.")
    moved: dict[str, Any] = {"package_dir": package.path}
    if run_dir is not None:
        moved["run_dir"] = run_dir
    if data_root is not None:
        moved["data_root"] = data_root
    return parse_settings(ExportConfig, {**written, **moved}, f"{package.path}: lineage.export")


def _rewrite(package: ModelPackage, gate: Gate, config: ExportConfig) -> None:
    """The manifest last: a kill before it leaves a package that opens, and the same command goes on."""
    manifest = package.manifest
    promoted = {
        artifact.name: _promoted(artifact, gate)
        for artifact in manifest.artifacts
        if gate.has_passed(artifact.name)
    }
    kept = [claim for claim in manifest.claims if claim.artifact not in promoted]
    new = [claim for claim in gate.claims() if claim.artifact in promoted]
    values = manifest.model_copy(
        update={
            "artifacts": tuple(promoted.get(artifact.name, artifact) for artifact in manifest.artifacts),
            "claims": (*kept, *new),
        }
    )
    rewritten = parse_settings(Manifest, values.model_dump(mode="json"), "manifest")
    signature = package.path / SIGNATURE_NAME
    if signature.exists():
        log.warning("the signature of %s is taken away: sign the new manifest", package.path)
        signature.unlink()
    write_text(package.path / "README.md", render_model_card(rewritten))
    write_json(package.path / MANIFEST_NAME, rewritten.model_dump(mode="json"))


def _promoted(artifact: Artifact, gate: Gate) -> Artifact:
    details = {key: value for key, value in artifact.details.items() if key != "not_run"}
    details |= {**gate.facts(artifact.name), "verified_on": fingerprint()}
    return artifact.model_copy(update={"is_verified": True, "details": details})
