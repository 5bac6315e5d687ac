"""`afdcd export inspect`: what a person asks of a package is in the text, and everything is in the JSON."""

import json
import shutil

import pytest

from export.__main__ import app
from export.inspect import describe
from modelpack.command import run
from modelpack.package import MANIFEST_NAME, ModelPackage
from modelpack.signature import new_key, sign_package


@pytest.fixture
def shown(package, tmp_path):
    """The text for a copy whose manifest was changed."""

    def show(change=lambda values: None):
        copy = shutil.copytree(package.path, tmp_path / "copy")
        values = json.loads((copy / MANIFEST_NAME).read_text())
        change(values)
        (copy / MANIFEST_NAME).write_text(json.dumps(values))
        return describe(ModelPackage.open(copy))

    return show


def test_each_artifact_shows_kind_proof_opset_size_and_claims(package):
    text = describe(package)
    size_mib = f"{package.artifact('onnx-fp16').size_bytes / 2**20:.2f} MiB"
    assert f"onnx-fp16: model.fp16.onnx, onnx fp16, {size_mib}" in text
    assert "convolutions and products in fp16 (ONNX graph)" in text
    artifacts = len(package.manifest.artifacts)
    assert text.count("  opset") == text.count("  verified    yes") == artifacts
    assert "miou 0." in text
    assert "of onnx-fp16 on streets val (6 images" in text


def test_the_lineage_names_weights_data_and_code_by_hash(package):
    text = describe(package)
    lineage = package.manifest.lineage
    for line in (
        f"weights       sha256 {lineage['weights_sha256']}",
        f"weights file  sha256 {lineage['weights_file_sha256']}",
        f"data train    streets, 4 images, sha256 {lineage['dataset']['sha256']['train']}",
        f"export code   {lineage['code_version']}",
        f"manifest      sha256 {package.manifest_sha256}, not signed",
    ):
        assert line in text.splitlines()


def test_calibration_and_layers_that_were_kept_are_shown(shown):
    kept = [f"conv{index}" for index in range(7)]

    def rescue(values):
        values["artifacts"][1]["details"].update(
            kept_float32=kept, calibration={"method": "percentile", "images": 128}
        )

    text = shown(rescue)
    assert "  kept        [conv0, conv1, conv2, conv3, conv4, ... (7 in all)]" in text
    assert "  calibration method percentile, images 128" in text


def test_an_artifact_that_was_never_run_is_said_to_be_so(shown):
    def doubt(values):
        values["artifacts"][1]["is_verified"] = False
        values["artifacts"][1]["details"]["not_run"] = "there is no NVIDIA driver"

    assert "  verified    NO: there is no NVIDIA driver" in shown(doubt)


def test_a_manifest_made_by_hand_is_shown_without_what_it_does_not_say(shown):
    text = shown(lambda values: values.update(lineage={}, claims=[]))
    assert "claim" not in text
    assert "weights" not in text


def test_a_signed_package_is_said_to_be_signed(package, tmp_path):
    copy = shutil.copytree(package.path, tmp_path / "copy")
    new_key(tmp_path / "key")
    sign_package(copy, tmp_path / "key")
    assert f"sha256 {package.manifest_sha256}, signed" in describe(ModelPackage.open(copy))


def test_the_json_is_the_whole_manifest_and_its_hash(package, capsys):
    assert run(app, ["inspect", str(package.path), "--json"], "afdcd export") == 0
    values = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert values.pop("manifest_sha256") == package.manifest_sha256
    assert values == json.loads((package.path / MANIFEST_NAME).read_text())
