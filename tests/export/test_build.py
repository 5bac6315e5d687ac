"""`export_model`: a package that holds what its manifest says, or none."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from distill.networks.output import normalise
from distill.run import TrainingRun, load_student
from export.build import export_model
from export.config import ExportConfig
from export.errors import ExportError, ParityError
from export.lineage import hash_weights
from export.onnx_edges import check_uint8_edges
from export.targets import TARGETS
from modelpack.errors import CheckpointError, DatasetError, PackageError, UnknownNameError
from modelpack.package import ModelPackage
from modelpack.pixels import decode_image
from modelpack.runtimes import open_runtime
from tests.export.tiny_run import PACKED_HEIGHT, PACKED_WIDTH, write_tiny_run

MAX_CONFIDENCE_ERROR = 2 / 255
"""One step of rounding in each of the two computations."""
SEEDED = np.random.default_rng(0)


@pytest.fixture
def images():
    return SEEDED.integers(0, 256, (3, PACKED_HEIGHT, PACKED_WIDTH, 3), np.uint8)


@pytest.fixture
def expected_logits(tiny_run, images):
    network = load_student(TrainingRun.open(tiny_run))
    with torch.no_grad():
        output = network(normalise(torch.from_numpy(images), network.normalisation))
        return output.full_logits(images.shape[1:3]).numpy()


def test_the_packed_graph_gives_the_networks_masks_for_any_batch(package, images, expected_logits):
    found = open_runtime(package, artifact="onnx-fp32", device="cpu", threads=1).run(images)
    np.testing.assert_array_equal(found["mask"], expected_logits.argmax(1))
    assert found["mask"].dtype == np.uint8
    np.testing.assert_allclose(found["logits"], expected_logits, atol=1e-3)


def test_confidence_is_the_probability_of_the_chosen_class(package, images, expected_logits):
    found = open_runtime(package, artifact="onnx-fp32", device="cpu", threads=1).run(images)["confidence"]
    expected = torch.from_numpy(expected_logits).softmax(1).amax(1).numpy()
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found / 255, expected, atol=MAX_CONFIDENCE_ERROR)


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.kind == "onnx"])
def test_every_target_is_packed_claimed_and_casts_only_at_its_edges(package, name):
    model = onnx.load(package.artifact_path(name))
    onnx.checker.check_model(model, full_check=True)
    check_uint8_edges(model)
    assert package.artifact(name).precision == TARGETS[name].precision
    assert {claim.name for claim in package.manifest.claims if claim.artifact == name} == {
        "miou",
        "agreement",
    }


def test_fp16_weights_are_half_as_large(package):
    types = {
        entry.data_type
        for entry in onnx.load(package.artifact_path("onnx-fp16")).graph.initializer
        if entry.dims
    }
    assert onnx.TensorProto.FLOAT16 in types
    assert onnx.TensorProto.FLOAT not in types


def test_the_graph_file_carries_names_of_classes_and_axes_and_nothing_of_this_machine(package):
    model = onnx.load(package.artifact_path("onnx-fp32"))
    assert [dim.dim_param or dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim] == [
        "batch", PACKED_HEIGHT, PACKED_WIDTH, 3,
    ]  # fmt: skip
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(properties["classes"]) == list(package.manifest.labels.names)
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)


def test_samples_hold_the_references_masks(package, tiny_run):
    network = load_student(TrainingRun.open(tiny_run))
    for _, image_bytes, mask_hw in package.samples():
        image = package.manifest.resizing.resize_image(decode_image(image_bytes, max_pixels=1 << 20))
        with torch.no_grad():
            output = network(normalise(torch.from_numpy(image[None]), network.normalisation))
        np.testing.assert_array_equal(output.full_logits(mask_hw.shape).argmax(1)[0], mask_hw)


def test_lineage_leads_back_to_weights_run_and_code(package, tiny_run):
    lineage = package.manifest.lineage
    assert lineage["weights_sha256"] == hash_weights(load_student(TrainingRun.open(tiny_run)))
    assert lineage["run"]["settings"]["data"]["name"] == "streets"
    assert lineage["dataset"]["images"] == {"train": 4, "val": 6, "test": 4}
    assert lineage["code_version"]


def test_resolved_settings_lie_beside_the_result(package):
    settings = json.loads((package.path / "reports/settings.json").read_text())
    assert settings["size"] == [PACKED_HEIGHT, PACKED_WIDTH]
    assert settings["name"] == "tiny-run"


def test_the_model_card_tells_classes_accuracy_and_how_to_serve(package):
    card = (package.path / "README.md").read_text()
    assert all(f"| {name} |" in card for name in package.manifest.labels.names)
    assert "streets val, 6 images at 40x56, cpu" in card
    assert "curl" in card


def test_a_refused_target_leaves_no_package_and_names_itself(tiny_run, tmp_path, monkeypatch):
    honest = TARGETS["onnx-fp16"]

    def zeroed(context, path):
        details = honest.build(context, path)
        spoilt = onnx.load(path)
        weights = next(
            entry for entry in spoilt.graph.initializer if len(entry.dims) == 4 and entry.dims[0] == 11
        )
        weights.raw_data = bytes(len(weights.raw_data))
        onnx.save(spoilt, path)
        return details

    monkeypatch.setitem(TARGETS, "onnx-fp16", replace(honest, build=zeroed))
    config = ExportConfig(
        run_dir=tiny_run, package_dir=tmp_path / "package", targets=("onnx-fp32", "onnx-fp16")
    )
    with pytest.raises(ParityError) as refusal:
        export_model(config)
    assert refusal.value.stage == "onnx-fp16"
    assert [path.name for path in tmp_path.iterdir()] == ["package.rejected"]
    artifacts = json.loads((tmp_path / "package.rejected/parity.json").read_text())["artifacts"]
    assert [bool(entry["broken"]) for entry in artifacts] == [False, True]


def test_a_package_that_stands_is_kept_unless_told_otherwise(tiny_run, package):
    with pytest.raises(PackageError, match="replace=true"):
        export_model(ExportConfig(run_dir=tiny_run, package_dir=package.path))
    assert ModelPackage.open(package.path).manifest == package.manifest


def test_an_unknown_target_is_refused_before_any_work(tmp_path):
    with pytest.raises(UnknownNameError, match="onnx-fp32"):
        export_model(ExportConfig(run_dir=tmp_path, package_dir=tmp_path / "package", targets=("onnx-fp23",)))


def test_a_folder_that_holds_no_run_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no training run"):
        export_model(ExportConfig(run_dir=tmp_path, package_dir=tmp_path / "package"))


def test_a_dataset_that_moved_is_looked_for_where_it_is_now(tmp_path):
    run_dir = write_tiny_run(tmp_path / "train", data={"name": "camvid", "root": str(tmp_path / "before")})
    config = ExportConfig(run_dir=run_dir, package_dir=tmp_path / "package", data_root=tmp_path / "now")
    with pytest.raises(DatasetError, match="now"):
        export_model(config)


def test_an_operator_without_onnx_form_is_named(tmp_path):
    run_dir = write_tiny_run(tmp_path / "train", "unsupported")
    with pytest.raises(ExportError, match="bessel_j0 has no ONNX form"):
        export_model(ExportConfig(run_dir=run_dir, package_dir=tmp_path / "package"))
    assert not (tmp_path / "package").exists()


KILLED_WHILE_BUILDING = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from distill.networks import NETWORKS
from export.build import export_model
from export.config import ExportConfig
from export.targets import TARGETS
from tests.export.tiny_run import BUILDERS

def write_and_die(context, path):
    path.write_bytes(context.model.SerializeToString())
    os.kill(os.getpid(), signal.SIGKILL)

NETWORKS.update(BUILDERS)
TARGETS["onnx-fp16"] = replace(TARGETS["onnx-fp16"], build=write_and_die)
targets = ("onnx-fp32", "onnx-fp16")
export_model(ExportConfig(run_dir=Path(sys.argv[1]), package_dir=Path(sys.argv[2]), targets=targets))
"""


def test_a_kill_in_the_middle_leaves_nothing_that_opens_and_the_next_build_works(tiny_run, tmp_path):
    package_dir = tmp_path / "package"
    command = [sys.executable, "-c", KILLED_WHILE_BUILDING, str(tiny_run), str(package_dir)]
    assert subprocess.run(command, check=False).returncode == -9
    with pytest.raises(PackageError, match="no model package"):
        ModelPackage.open(package_dir)
    export_model(ExportConfig(run_dir=tiny_run, package_dir=package_dir))
    assert [path.name for path in tmp_path.iterdir()] == ["package"]
