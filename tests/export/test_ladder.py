"""Artifacts are judged from the simplest up, whatever the order asked for; none passes that did not run."""

import json
from dataclasses import replace

import onnx
import pytest

from export import build
from export.build import export_model
from export.config import ExportConfig, ParityRule
from export.errors import ParityError
from export.ladder import climb
from export.onnx_export import export_onnx
from export.precision.artifact import PROOF
from export.precision.onnx_graph import prove_onnx
from export.precision.proof import PrecisionError
from export.targets import TARGETS
from export.targets.target import Target
from modelpack.errors import RuntimeUnavailableError
from modelpack.runtimes import RUNTIMES
from modelpack.runtimes.onnxruntime import OnnxRuntime
from tests.export.planted_faults import half_pixel_shift, mirrored_mask, spoilt


class RunsNowhere:
    """A runtime for plans on a machine without a GPU."""

    def __init__(self, model_path, *, device, threads=0):
        raise RuntimeUnavailableError("there is no NVIDIA driver.")


class RunsAnywhere(OnnxRuntime):
    """A runtime for "plans" that are ONNX graphs."""

    def __init__(self, model_path, *, device, threads=0):
        super().__init__(model_path, device="cpu", threads=threads)


def engine(fault=None) -> Target:
    """A "plan": the fp32 graph, spoilt or not, with the proof of its precision."""

    def write(context, path):
        model = onnx.load(context.graphs["onnx-fp32"])
        path.parent.mkdir(exist_ok=True)
        onnx.save(model if fault is None else spoilt(model, fault), path)
        return {PROOF: prove_onnx(model, "fp32").model_dump()}

    loose = ParityRule(
        min_agreement=None,
        min_agreement_confident=None,
        max_miou_difference_points=None,
        min_miou_share=0.5,
    )
    return Target(build=write, file="engines/fp32.plan", kind="tensorrt", precision="fp32", rule=loose)


@pytest.fixture
def with_engine(monkeypatch):
    def plant(runtime: type, fault=None) -> None:
        monkeypatch.setitem(TARGETS, "engine", engine(fault))
        monkeypatch.setitem(RUNTIMES, "tensorrt", f"{__name__}:{runtime.__name__}")

    return plant


def config_of(tiny_run, tmp_path, *targets: str) -> ExportConfig:
    return ExportConfig(run_dir=tiny_run, package_dir=tmp_path / "package", targets=targets)


def test_graphs_come_before_engines_and_wide_types_before_narrow_ones():
    targets = {"engine": engine(), "onnx-fp16": TARGETS["onnx-fp16"]}
    assert list(climb(targets)) == ["onnx-fp32", "onnx-fp16", "engine"]


def test_the_recipes_first_target_stays_the_default(tiny_run, tmp_path):
    package = export_model(config_of(tiny_run, tmp_path, "onnx-fp16", "onnx-fp32"))
    assert package.artifact().name == "onnx-fp16"
    report = json.loads((package.path / "reports/parity.json").read_text())
    assert [entry["artifact"] for entry in report["artifacts"]] == ["onnx-fp32", "onnx-fp16"]


def test_a_fault_of_the_export_is_named_there_also_where_only_a_narrow_type_is_packed(
    tiny_run, tmp_path, monkeypatch
):
    monkeypatch.setattr(build, "export_onnx", lambda *args: spoilt(export_onnx(*args), half_pixel_shift))
    with pytest.raises(ParityError, match="from the top left") as refusal:
        export_model(config_of(tiny_run, tmp_path, "onnx-fp16"))
    assert refusal.value.stage == "onnx-fp32"


def test_what_was_judged_and_not_asked_for_is_not_packed(tiny_run, tmp_path):
    package = export_model(config_of(tiny_run, tmp_path, "onnx-fp16"))
    assert [artifact.name for artifact in package.manifest.artifacts] == ["onnx-fp16"]
    assert {claim.artifact for claim in package.manifest.claims} == {"reference", "onnx-fp16"}


def test_an_engine_that_cannot_run_here_is_packed_as_unverified_and_says_so(
    tiny_run, tmp_path, with_engine, caplog
):
    with_engine(RunsNowhere)
    package = export_model(config_of(tiny_run, tmp_path, "onnx-fp32", "engine"))
    artifact = package.artifact("engine")
    assert not artifact.is_verified
    assert package.artifact("onnx-fp32").is_verified
    assert artifact.details[PROOF]["share"] == 1
    assert not any(claim.artifact == "engine" for claim in package.manifest.claims)
    assert "engine was not run here" in caplog.text
    (entry,) = json.loads((package.path / "reports/parity.json").read_text())["not_run"]
    assert (entry["artifact"], entry["reason"]) == ("engine", "there is no NVIDIA driver.")
    assert "never run" in (package.path / "README.md").read_text()


def test_an_engine_that_can_run_is_measured_by_its_masks(tiny_run, tmp_path, with_engine):
    with_engine(RunsAnywhere)
    package = export_model(config_of(tiny_run, tmp_path, "onnx-fp32", "engine"))
    assert package.artifact("engine").is_verified
    entry = json.loads((package.path / "reports/parity.json").read_text())["artifacts"][1]
    assert (entry["artifact"], entry["agreement"], entry["max_logit_error"]) == ("engine", 1.0, None)


@pytest.mark.parametrize("fault", [half_pixel_shift, mirrored_mask])
def test_an_engine_under_a_loose_rule_is_still_held_to_the_place_of_edges(
    tiny_run, tmp_path, with_engine, fault
):
    with_engine(RunsAnywhere, fault)
    with pytest.raises(ParityError, match=r"engine is refused.*it answers as the network does") as refusal:
        export_model(config_of(tiny_run, tmp_path, "onnx-fp32", "engine"))
    assert refusal.value.stage == "engine"


def test_an_engine_without_proof_of_its_precision_is_refused(tiny_run, tmp_path, with_engine, monkeypatch):
    with_engine(RunsNowhere)
    silent = replace(TARGETS["engine"], build=TARGETS["onnx-fp32"].build, file="fp32.plan")
    monkeypatch.setitem(TARGETS, "engine", silent)
    with pytest.raises(PrecisionError, match="it brings none") as refusal:
        export_model(config_of(tiny_run, tmp_path, "onnx-fp32", "engine"))
    assert refusal.value.stage == "engine"


def test_a_disguised_target_is_refused_as_a_disguise_however_well_it_answers(tiny_run, tmp_path, monkeypatch):
    disguise = replace(TARGETS["onnx-fp16"], build=TARGETS["onnx-fp32"].build)
    monkeypatch.setitem(TARGETS, "onnx-fp16", disguise)
    with pytest.raises(PrecisionError, match=r"onnx-fp16 is refused.*2 of 2") as refusal:
        export_model(config_of(tiny_run, tmp_path, "onnx-fp16"))
    assert refusal.value.stage == "onnx-fp16"
    assert not (tmp_path / "package").exists()
