"""`afdcd export VERB`: exit codes, sentences and the line of JSON."""

import json
import shutil

import numpy as np
import pytest
import yaml

from export.__main__ import app
from modelpack.command import run
from modelpack.package import ModelPackage
from modelpack.png import encode_png_labels


def export(*words):
    return run(app, [str(word) for word in words], "afdcd export")


def test_build_takes_run_and_package_folder_from_the_recipe(tiny_run, tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    output = tmp_path / "chain"
    shutil.copytree(tiny_run, output / "train")
    recipe.write_text(
        yaml.safe_dump({"output": str(output), "data": {"name": "streets"}, "export": {"samples": 2}})
    )
    assert export("build", recipe, "export.size=[32, 48]", "export.name=small", "--json") == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["name"] == "small"
    manifest = ModelPackage.open(output / "package").manifest
    assert manifest.inputs[0].shape == ("batch", 32, 48, 3)
    assert len(manifest.samples) == 2


def test_build_needs_no_recipe_when_told_run_and_package(tiny_run, tmp_path):
    assert (
        export("build", "--run", tiny_run, "--out", tmp_path / "package", "export.parity.max_images=1") == 0
    )
    assert ModelPackage.open(tmp_path / "package").manifest.claims[0].images == 1


def test_a_missed_rule_exits_1_and_names_stage_rule_and_report(tiny_run, tmp_path, capsys):
    words = ("--run", tiny_run, "--out", tmp_path / "package", "export.parity.max_logit_error=0")
    assert export("build", *words) == 1
    sentence = capsys.readouterr().err.splitlines()[-1]
    assert sentence.startswith("error: onnx-fp32 is refused")
    assert "allowed is 0e+00" in sentence
    assert str(tmp_path / "package.rejected") in sentence


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ((), "give a recipe"),
        (("--run", "x", "--out", "y", "export.sise=1"), "size"),
        (("--run", "x", "--out", "y", "export.size=[8, 8]"), "size"),
        (("--run", "x", "--out", "y", "export.targets=[a, a]"), "each once"),
        (("missing.yaml",), "does not exist"),
    ],
)
def test_wrong_use_exits_2_with_one_sentence(words, hint, capsys):
    assert export("build", *words) == 2
    complaint = capsys.readouterr().err
    assert hint in complaint
    assert "Traceback" not in complaint


def test_inspect_prints_tensors_artifacts_and_claims(package, capsys):
    assert export("inspect", package.path) == 0
    shown = capsys.readouterr().out
    assert "image uint8 (batch, 40, 56, 3)" in shown
    assert package.artifact().sha256[:16] in shown
    assert "of onnx-fp32 on streets val" in shown


def test_verify_passes_a_package_as_built(package):
    assert export("verify", package.path, "--device", "cpu") == 0


def test_verify_refuses_a_changed_file(package, tmp_path, capsys):
    copy = shutil.copytree(package.path, tmp_path / "copy")
    with (copy / "model.fp32.onnx").open("r+b") as file:
        file.seek(100)
        file.write(b"\0\1\2")
    assert export("verify", copy) == 1
    assert "model.fp32.onnx is damaged" in capsys.readouterr().err


def test_verify_refuses_masks_of_another_network(package, tmp_path, capsys):
    import hashlib

    copy = shutil.copytree(package.path, tmp_path / "copy")
    manifest = json.loads((copy / "manifest.json").read_text())
    sample = manifest["samples"][1]
    other = encode_png_labels(np.zeros((40, 56), np.uint8))
    (copy / sample["mask"]).write_bytes(other)
    sample["mask_sha256"] = hashlib.sha256(other).hexdigest()
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert export("verify", copy, "--device", "cpu") == 1
    assert sample["image"] in capsys.readouterr().err


def test_verify_refuses_another_resize_rule(package, tmp_path):
    """Samples are kept at their own size, so their replay covers the way to the model's."""
    copy = shutil.copytree(package.path, tmp_path / "copy")
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["resizing"]["filter"] = "area"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert export("verify", copy, "--device", "cpu") == 1
