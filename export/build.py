"""From one finished training run to a verified model package, whole or not at all."""

import logging
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from distill.datasets import open_dataset
from distill.datasets.dataset import SegDataset
from distill.run import TrainingRun, load_student
from export.calibration import CalibrationImages
from export.config import ExportConfig
from export.gate import Gate, rejected_dir
from export.gate_images import input_size, open_gate, run_data
from export.graph import DeployedGraph, tensor_specs
from export.ladder import climb
from export.lineage import describe_lineage
from export.model_card import render_model_card
from export.onnx_export import export_onnx
from export.other_sizes import check_other_sizes
from export.pareto import Measured, place
from export.pareto_report import write_pareto
from export.reference import Reference
from export.rescue import Candidate, Rescue, can_be_rescued
from export.run_check import check_targets, check_weights
from export.targets import TARGETS
from export.targets.target import BuildContext, Target
from modelpack.environment import fingerprint
from modelpack.package import ModelPackage, PackageWriter, new_package
from modelpack.png import encode_png_rgb
from modelpack.preprocess import Resizing
from modelpack.tables import lookup

log = logging.getLogger(__name__)


def export_model(config: ExportConfig) -> ModelPackage:
    """Turn one finished training run into a verified model package.

    Reads `config.run_dir`; creates `config.package_dir`, whole or not at all. Raises ParityError if an
    artifact disagrees with the network it came from (reports in `<package_dir>.rejected`), ExportError for a
    network that has no such graph, CheckpointError for a run that is missing or unfinished, PackageError
    where one stands already.
    """
    targets = {name: lookup(TARGETS, "export target", name) for name in config.targets}
    paths = {name: target.path_in_package(config) for name, target in targets.items()}
    run = TrainingRun.open(config.run_dir)
    check_weights(run)
    check_targets(run, targets)
    is_quantised = run.config.student.quantisation is not None
    network = load_student(run)
    dataset = open_dataset(run_data(config, run), config.parity.split)
    size = input_size(config, run, dataset)
    config = config.model_copy(
        update={"size": size or "dynamic", "name": config.name or _model_name(run.config.name)}
    )
    resizing = Resizing(height=size and size[0], width=size and size[1], filter=config.filter)
    with (
        new_package(config.package_dir, replace=config.replace) as package,
        tempfile.TemporaryDirectory() as scratch,
    ):
        graph = DeployedGraph(network, confidence=config.confidence, logits=config.logits)
        log.info("exporting %s, size %s", run.config.student.network, config.size)
        model = export_onnx(graph, size, run.labels, config.opset)
        reference = Reference(network, config.device)
        if size is None:
            check_other_sizes(model, reference)
        gate = open_gate(config, run, reference, dataset, resizing, Path(scratch), model)
        calibration = CalibrationImages(
            partial(open_dataset, run_data(config, run), "train"), resizing, config.calibration_images
        )
        graphs: dict[str, Path] = {}
        details: dict[str, dict[str, Any]] = {}
        given_up: list[Candidate] = []
        for name, target in climb(targets, is_quantised=is_quantised).items():
            file = package.folder / paths[name] if name in targets else Path(scratch, f"{name}.onnx")
            context = BuildContext(model, config, calibration, graphs, details)
            details[name] = target.build(context, file)
            if can_be_rescued(target, context):
                rescue = Rescue(name, target, context, gate, Path(scratch))
                details[name] = rescue.admit(file, details[name], package.folder / "reports")
                given_up += rescue.tried
            else:
                gate.admit(name, target, file, details[name])
            if target.kind == "onnx":
                graphs[name] = file
        for name, target in targets.items():
            facts = {"opset": config.opset, **details[name], **gate.facts(name)}
            _add(package, name, paths[name], target, facts, is_verified=gate.has_passed(name))
        gate.write_reports(package.folder / "reports", gate.passed)
        _write_pareto(package.folder / "reports", gate, graphs, details, given_up)
        _add_samples(package, reference, dataset, resizing, config.samples)
        image, outputs = tensor_specs(graph.output_names, network.num_classes, size)
        manifest = package.write_manifest(
            name=config.name,
            version=config.version,
            labels=run.labels,
            normalisation=network.normalisation,
            resizing=resizing,
            inputs=(image,),
            outputs=outputs,
            lineage=describe_lineage(run, run_data(config, run), network, config),
            claims=gate.claims(),
        )
        package.write_text("README.md", render_model_card(manifest))
    shutil.rmtree(rejected_dir(config), ignore_errors=True)  # of an earlier try
    return ModelPackage.open(config.package_dir)


def _add(
    package: PackageWriter,
    name: str,
    path: str,
    target: Target,
    details: dict[str, Any],
    *,
    is_verified: bool,
) -> None:
    packages = fingerprint()["packages"]
    versions = {key: packages[key] for key in ("torch", "onnx", "onnxscript") if key in packages}
    package.add_artifact(
        name,
        path,
        kind=target.kind,
        precision=target.precision,
        details={**details, "versions": versions},
        is_verified=is_verified,
    )


def _add_samples(
    package: PackageWriter, reference: Reference, dataset: SegDataset, resizing: Resizing, count: int
) -> None:
    """Images spread over the split, lossless and at their own size: a replay covers the resizing too."""
    for index in sorted(set(np.linspace(0, len(dataset) - 1, count).astype(int).tolist())):
        image_hwc = dataset[index].image_hwc
        package.add_sample(
            encode_png_rgb(image_hwc), ".png", reference.mask(resizing.resize_image(image_hwc))
        )


def _write_pareto(
    folder: Path,
    gate: Gate,
    graphs: Mapping[str, Path],
    details: Mapping[str, Mapping[str, Any]],
    given_up: Sequence[Candidate],
) -> None:
    """Of all graphs that were measured, where there is something to compare."""
    measured = [
        Measured(
            graphs[parity.artifact],
            parity,
            kept_layers=len(details[parity.artifact].get("rescue", {}).get("kept_layers", ())),
            is_packed=parity.artifact in gate.config.targets,
        )
        for parity in (comparison.parity for comparison in gate.passed)
        if parity.artifact in graphs
    ]
    measured += [
        Measured(one.path, one.comparison.parity, kept_layers=len(one.kept), is_packed=False)
        for one in given_up
    ]
    if len(measured) > 1:
        image_nhwc = gate.resizing.resize_image(gate.dataset[0].image_hwc)[None]
        points = place(measured, image_nhwc, gate.config.device)
        write_pareto(folder, points, gate.passed[0].parity.miou_reference, gate.conditions())


def _model_name(run_name: str) -> str:
    """The run's name with what a model name may not hold replaced."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", run_name).strip("-._") or "model"
