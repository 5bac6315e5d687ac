"""The targets `tensorrt-*` in a package."""

import pytest

from export.build import export_model
from export.config import ExportConfig
from export.targets import TARGETS
from export.tensorrt import plan as plan_module
from modelpack.errors import RuntimeUnavailableError, SettingsError
from modelpack.runtimes.cuda_libraries import missing_device
from modelpack.tensorrt.flavour import find_flavour

HAS_CUDA = missing_device() is None
ENGINES = [name for name, target in TARGETS.items() if target.kind == "tensorrt"]


@pytest.fixture(scope="module")
def package(tiny_run, tmp_path_factory):
    """Of a plan and, beside it, of another graph than the one that the plan is made from."""
    return export_model(
        ExportConfig(
            run_dir=tiny_run,
            package_dir=tmp_path_factory.mktemp("made") / "package",
            targets=("onnx-fp32", "tensorrt-fp16"),
            tensorrt={"flavour": "rtx"},
        )
    )


def test_a_plan_lies_under_a_name_that_tells_what_runs_it(package):
    version = find_flavour("rtx").version
    assert package.artifact("tensorrt-fp16").path == f"engines/fp16-rtx-{version}-portable.plan"
    assert package.artifact("tensorrt-fp16").kind == "tensorrt"


@pytest.mark.skipif(HAS_CUDA, reason="there is a CUDA device")
def test_without_a_gpu_a_plan_is_proved_but_never_called_verified(package):
    artifact = package.artifact("tensorrt-fp16")
    assert not artifact.is_verified
    assert "NVIDIA" in artifact.details["not_run"]
    proof = artifact.details["precision_proof"]
    assert (proof["claimed"], proof["share"], proof["established"]) == ("fp16", 1.0, "TensorRT network")
    assert [claim for claim in package.manifest.claims if claim.artifact == "tensorrt-fp16"] == []


def test_the_graph_that_a_plan_is_made_from_is_named_and_judged_but_not_packed(package):
    assert package.artifact("tensorrt-fp16").details["graph"] == "onnx-fp16"
    assert [artifact.name for artifact in package.manifest.artifacts] == ["onnx-fp32", "tensorrt-fp16"]
    assert "onnx-fp16" in (package.path / "reports/parity.json").read_text()
    assert {path.name for path in package.path.glob("*.onnx")} == {"model.fp32.onnx"}


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_keeps_the_rule_and_the_precision_of_its_graph(name):
    engine = TARGETS[name]
    graph = TARGETS[engine.graph]
    assert (engine.rule, engine.precision) == (graph.rule, graph.precision)


def test_where_there_is_no_tensorrt_the_export_says_so_before_any_work(tmp_path, monkeypatch):
    def missing(wanted):
        raise RuntimeUnavailableError("TensorRT cannot be imported here")

    monkeypatch.setattr(plan_module, "find_flavour", missing)
    with pytest.raises(RuntimeUnavailableError):
        export_model(config_of_nothing(tmp_path))


def test_a_setting_that_cannot_be_honoured_stops_the_export_before_any_work(tmp_path):
    with pytest.raises(SettingsError, match=r"export\.tensorrt\.timing_cache asks for"):
        export_model(config_of_nothing(tmp_path, timing_cache="times.cache"))


def config_of_nothing(folder, **tensorrt):
    """Of a run that is not there, so that any work would fail."""
    tensorrt = {"flavour": "rtx", **tensorrt}
    targets = ("tensorrt-fp16",)
    return ExportConfig(
        run_dir=folder / "none", package_dir=folder / "package", targets=targets, tensorrt=tensorrt
    )
