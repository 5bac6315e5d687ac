import os
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import pytest

from distill.datasets import open_dataset
from distill.datasets.camvid import CAMVID_LABELS
from distill.networks import NETWORKS
from distill.run import TrainingRun, load_student
from export.build import export_model
from export.config import ExportConfig
from export.gate import Gate
from export.graph import DeployedGraph
from export.onnx_export import export_onnx
from export.reference import Reference, record_answers
from modelpack.package import ModelPackage
from modelpack.preprocess import Resizing
from tests.export.tiny_run import BUILDERS, HEIGHT, PACKED_HEIGHT, PACKED_WIDTH, WIDTH, write_tiny_run


@pytest.fixture(scope="session", autouse=True)
def _tiny_networks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, build in BUILDERS.items():
            patch.setitem(NETWORKS, name, build)
        yield


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory) -> Path:
    return write_tiny_run(tmp_path_factory.mktemp("run") / "train")


@pytest.fixture(scope="session")
def tiny_graph(tiny_run) -> onnx.ModelProto:
    """The deployed graph of the tiny network, at its size. Do not change it."""
    student = load_student(TrainingRun.open(tiny_run))
    return export_onnx(DeployedGraph(student), (HEIGHT, WIDTH), CAMVID_LABELS, opset=18)


@pytest.fixture(scope="session")
def package(tiny_run, tmp_path_factory) -> ModelPackage:
    """A package with every target and output, smaller than its images. Do not change it."""
    return export_model(
        ExportConfig(
            run_dir=tiny_run,
            package_dir=tmp_path_factory.mktemp("made") / "package",
            targets=("onnx-fp32", "onnx-fp16", "onnx-int8"),
            size=(PACKED_HEIGHT, PACKED_WIDTH),
            confidence=True,
            logits=True,
            parity={"rules": {"onnx-int8": {"min_miou_share": 0.9}}},  # of 0.7 %: the network is untrained
        )
    )


@pytest.fixture
def open_gate(tiny_run, tiny_graph, tmp_path) -> Callable[..., Gate]:
    """A gate for artifacts of the tiny network; its reports would go to tmp_path / "package.rejected"."""

    def open_it(**settings) -> Gate:
        run = TrainingRun.open(tiny_run)
        config = ExportConfig(run_dir=tiny_run, package_dir=tmp_path / "package", **settings)
        dataset, resizing = open_dataset(run.config.data, "val"), Resizing(height=HEIGHT, width=WIDTH)
        answers_folder = tmp_path / "answers"
        os.makedirs(answers_folder)
        answers = record_answers(
            Reference(load_student(run), "cpu"), dataset, resizing, answers_folder,
            count=len(dataset), logit_images=2, low_margin=config.parity.low_margin,
        )  # fmt: skip
        return Gate(config, "streets", dataset, resizing, answers, "skip", tiny_graph)

    return open_it
