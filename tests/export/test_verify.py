"""`afdcd export verify`: each promise of a package is tried, and each that is broken is named."""

import hashlib
import json
import shutil
from pathlib import Path

import onnx
import pytest

from export.__main__ import app
from export.verification import answers
from export.verify import verify
from modelpack.command import run
from modelpack.package import MANIFEST_NAME, SIGNATURE_NAME
from modelpack.runtimes import RUNTIMES
from modelpack.signature import new_key, sign_package
from modelpack.tables import resolve
from tests.tiny_conv import write_conv_model

FP32 = "onnx-fp32"
PLAN = {
    "name": "trt-fp16",
    "path": "fp16-rtx-1.7.1-portable.plan",
    "kind": "tensorrt",
    "precision": "fp16",
    "is_verified": False,
}
PROOF = {
    "claimed": "fp16", "nodes": 2, "in_claimed": 2, "share": 1.0, "kept": {}, "others": {},
    "established": "TensorRT network",
}  # fmt: skip


@pytest.fixture
def changed(package, tmp_path):
    """A copy of the package with the float32 artifact alone, and with a change to its manifest."""

    def make(change=lambda values: None):
        copy = Path(shutil.copytree(package.path, tmp_path / "copy"))
        values = json.loads((copy / MANIFEST_NAME).read_text())
        values["artifacts"] = [entry for entry in values["artifacts"] if entry["name"] == FP32]
        change(values)
        (copy / MANIFEST_NAME).write_text(json.dumps(values))
        return copy

    return make


@pytest.fixture
def _one_runtime(monkeypatch):
    """What is wrong with a file is wrong in every runtime."""
    monkeypatch.setattr(answers, "RUNTIMES", {"onnxruntime": RUNTIMES["onnxruntime"]})


def results(path, **options):
    """(check, artifact, runtime) -> result."""
    found = verify(path, device="cpu", threads=1, **options)
    return {(check.check, check.artifact, check.runtime): check.result for check in found.checks}


def failures(path, **options):
    return {key[0] for key, result in results(path, **options).items() if result == "FAIL"}


def rehash(values, folder):
    """What a forger does after changing a file."""
    for entry in values["artifacts"]:
        content = (folder / entry["path"]).read_bytes()
        entry.update(sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))


def forge(folder, change):
    """Change the float32 graph and make the manifest's hashes fit."""
    model = onnx.load(folder / "model.fp32.onnx")
    change(model)
    onnx.save(model, folder / "model.fp32.onnx")
    values = json.loads((folder / MANIFEST_NAME).read_text())
    rehash(values, folder)
    (folder / MANIFEST_NAME).write_text(json.dumps(values))


def test_a_package_as_built_passes_in_every_runtime_that_this_machine_has(package):
    found = results(package.path)
    assert "FAIL" not in found.values()
    for name, target in RUNTIMES.items():
        kind = resolve(target)
        if "onnx" in kind.artifact_kinds and kind.obstacle(package.artifact_path(), "cpu") is None:
            assert found["replay", "onnx-fp32", name] == found["replay", "onnx-fp16", name] == "pass"
    looked_at = {"file", "claims", "precision", "tensors", "classes", "metadata classes", "opset", "replay"}
    assert looked_at <= {check for check, artifact, _ in found if artifact == "onnx-fp16"}


@pytest.mark.usefixtures("_one_runtime")
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda v: v["inputs"][0].update(name="picture"), {"tensors"}),
        (lambda v: v["outputs"][0]["shape"].reverse(), {"tensors"}),
        (lambda v: (v["labels"]["names"].pop(), v["labels"]["palette"].pop()),
         {"classes", "metadata classes", "metadata palette"}),
        (lambda v: v["labels"]["names"].reverse(), {"metadata classes"}),
        (lambda v: v["normalisation"].update(order="bgr"), {"metadata normalisation"}),
        (lambda v: v["artifacts"][0].update(precision="fp16"), {"precision"}),
        (lambda v: v["artifacts"][0]["details"].update(opset=21), {"opset"}),
        (lambda v: v.update(claims=[c for c in v["claims"] if c["name"] != "miou"]), {"claims"}),
        (lambda v: v["resizing"].update(filter="area"), {"replay"}),
    ],
    ids=["name of a tensor", "axes of a tensor", "a class less", "order of classes", "channel order",
         "precision", "opset", "no claim", "resize rule"],
)  # fmt: skip
def test_a_manifest_that_says_something_else_fails_by_name(changed, change, expected):
    assert failures(changed(change)) == expected


@pytest.mark.usefixtures("_one_runtime")
def test_a_forged_graph_whose_hashes_fit_fails_by_its_answers(changed):
    def shuffle(model):
        weights = next(entry for entry in model.graph.initializer if list(entry.dims[:1]) == [11])
        rows = onnx.numpy_helper.to_array(weights)[::-1].copy()
        weights.CopyFrom(onnx.numpy_helper.from_array(rows, weights.name))

    copy = changed()
    forge(copy, shuffle)
    assert failures(copy) == {"replay"}


@pytest.mark.usefixtures("_one_runtime")
def test_a_file_that_is_another_graph_fails(changed):
    copy = changed()
    write_conv_model(copy / "model.fp32.onnx")
    values = json.loads((copy / MANIFEST_NAME).read_text())
    rehash(values, copy)
    (copy / MANIFEST_NAME).write_text(json.dumps(values))
    assert {"tensors", "classes", "metadata classes", "replay"} <= failures(copy)


def test_a_damaged_file_fails_and_nothing_is_said_of_what_is_in_it(changed):
    copy = changed()
    with (copy / "model.fp32.onnx").open("r+b") as file:
        file.truncate(1000)
    found = results(copy)
    assert found["file", FP32, ""] == "FAIL"
    assert found["graph", FP32, ""] == "not run"
    assert not any(check in ("precision", "replay") for check, *_ in found)


@pytest.fixture
def with_plan(changed):
    """A package with a plan that says of which graph it was built."""

    def make(details):
        def add(values):
            plan = {**PLAN, "sha256": "0" * 64, "size_bytes": 4}
            values["artifacts"].append({**plan, "details": {"precision_proof": PROOF, **details}})

        copy = changed(add)
        (copy / PLAN["path"]).write_bytes(b"plan")
        values = json.loads((copy / MANIFEST_NAME).read_text())
        rehash(values, copy)
        (copy / MANIFEST_NAME).write_text(json.dumps(values))
        return copy

    return make


def test_a_plan_that_this_machine_cannot_run_is_neither_passed_nor_failed(with_plan, capsys):
    copy = with_plan({})
    found = results(copy)
    of_the_plan = {key: result for key, result in found.items() if key[1] == "trt-fp16"}
    assert of_the_plan.pop(("file", "trt-fp16", "")) == "pass"
    assert set(of_the_plan.values()) == {"not run"}
    assert ("replay", "trt-fp16", "tensorrt") in of_the_plan
    assert run(app, ["verify", str(copy), "--device", "cpu"], "afdcd export") == 0
    assert "plans run on NVIDIA GPUs only" in capsys.readouterr().out


@pytest.mark.usefixtures("_one_runtime")
@pytest.mark.parametrize(("is_stale", "expected"), [(False, "pass"), (True, "FAIL")])
def test_a_plan_must_be_built_from_the_graph_beside_it(with_plan, package, is_stale, expected):
    sha256 = "0" * 64 if is_stale else package.artifact(FP32).sha256
    found = results(with_plan({"graph": FP32, "graph_sha256": sha256}))
    assert found["graph", "trt-fp16", ""] == expected


@pytest.mark.usefixtures("_one_runtime")
def test_signatures_are_checked_where_there_is_one_and_demanded_where_somebody_is_trusted(changed, tmp_path):
    copy = changed()
    key = new_key(tmp_path / "key")
    assert results(copy)["signature", "(package)", ""] == "not run"
    assert "signature" in failures(copy, trusted_keys=[key])
    sign_package(copy, tmp_path / "key")
    assert results(copy)["signature", "(package)", ""] == "pass"
    assert failures(copy, trusted_keys=[key]) == set()
    assert failures(copy, trusted_keys=[new_key(tmp_path / "other")]) == {"signature"}
    forge(copy, lambda model: None)
    manifest = copy / MANIFEST_NAME
    manifest.write_text(manifest.read_text() + " ")
    assert failures(copy) == failures(copy, trusted_keys=[key]) == {"signature"}
    (copy / SIGNATURE_NAME).write_text("{}")
    assert failures(copy) == {"signature"}


@pytest.mark.usefixtures("_one_runtime")
def test_full_measures_the_claim_again_on_the_images_of_the_export(changed):
    found = results(changed(), full=True)
    assert found["miou", FP32, "onnxruntime"] == "pass"
    assert found["data", "(package)", ""] == "pass"


@pytest.mark.usefixtures("_one_runtime")
def test_a_claim_that_is_a_point_too_good_fails(changed):
    def boast(values):
        for claim in values["claims"]:
            claim["value"] += 0.01 * (claim["name"] == "miou" and claim["artifact"] == FP32)

    assert failures(changed(boast), full=True) == {"miou"}


@pytest.mark.usefixtures("_one_runtime")
def test_other_images_than_those_of_the_export_are_noticed(changed):
    copy = changed(lambda values: values["lineage"]["dataset"]["sha256"].update(val="0" * 64))
    assert failures(copy, full=True) == {"data"}


@pytest.mark.usefixtures("_one_runtime")
def test_the_command_ends_with_the_table_and_exits_1_naming_what_failed(changed, capsys):
    copy = changed(lambda values: values["artifacts"][0]["details"].update(opset=21))
    assert run(app, ["verify", str(copy), "--device", "cpu", "--json"], "afdcd export") == 1
    said = capsys.readouterr()
    table, line = said.out.splitlines()[:-1], said.out.splitlines()[-1]
    assert table[0].split() == ["check", "artifact", "runtime", "result", "detail"]
    assert table[-1].endswith("1 failed, 1 not run.")
    (failed,) = [check for check in json.loads(line)["checks"] if check["result"] == "FAIL"]
    assert (failed["check"], failed["artifact"]) == ("opset", FP32)
    assert "opset of onnx-fp32: 18 in the graph, 21 in the manifest" in said.err
