"""Plans, really built by TensorRT-RTX; no GPU is needed for that."""

import logging

import pytest

from export.errors import ExportError
from export.tensorrt import progress
from export.tensorrt.builder_config import check_settings
from export.tensorrt.plan import build_plan, plan_name
from export.tensorrt.settings import TensorRTSettings
from modelpack.errors import RuntimeUnavailableError, SettingsError
from modelpack.runtimes.cuda_libraries import missing_device
from modelpack.settings import parse_settings
from modelpack.tensorrt.flavour import find_flavour
from tests.export.tensorrt.small_graphs import HEIGHT, WIDTH, node, write_convolutions, write_graph

HAS_CUDA = missing_device() is None
LEAVE_OUT = "or leave the tensorrt targets out of export.targets, the ONNX artifacts do not need TensorRT."


def settings(**values):
    return parse_settings(TensorRTSettings, {"flavour": "rtx", **values}, "recipe")


@pytest.fixture(scope="module")
def rtx():
    return find_flavour("rtx")


@pytest.fixture
def build(tmp_path):
    """Build a plan of a graph; `values` are settings."""

    def build_it(graph, precision="fp16", **values):
        return build_plan(graph, tmp_path / "engines/x.plan", precision, settings(**values))

    return build_it


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    return write_convolutions(tmp_path_factory.mktemp("graphs") / "half.onnx", "fp16", "fp16")


@pytest.fixture(scope="module")
def of_any_size(tmp_path_factory):
    return write_convolutions(tmp_path_factory.mktemp("graphs") / "any.onnx", "fp16", size=None)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_plan_takes_and_gives_bytes_and_computes_in_its_precision(build, tmp_path, precision):
    built = build(write_convolutions(tmp_path / "graph.onnx", precision, precision), precision)
    assert built.details["tensors"] == {
        "image": f"UINT8 (-1, {HEIGHT}, {WIDTH}, 3)",
        "mask": f"UINT8 (-1, {HEIGHT}, {WIDTH})",
    }
    assert (built.proof.claimed, built.proof.nodes, built.proof.share) == (precision, 2, 1.0)
    assert built.proof.established == "TensorRT network"
    assert (tmp_path / "engines/x.plan").stat().st_size > 0


def test_the_manifest_is_told_what_made_the_plan(build, half, rtx):
    built = build(half, workspace_mib=512)
    details = built.details
    assert (details["flavour"], details["tensorrt_version"], details["target"]) == (
        "rtx",
        rtx.version,
        "portable",
    )
    assert str(built.name) == f"fp16-rtx-{rtx.version}-portable.plan"
    assert details["profiles"] == [[[batch, HEIGHT, WIDTH, 3] for batch in (1, 4, 8)]]
    assert details["settings"]["workspace_mib"] == 512
    assert details["build_seconds"] > 0
    assert details["warnings"] == []


def test_an_operator_without_converter_is_named_with_its_node_and_a_way_out(build, tmp_path, rtx):
    nodes = [
        node("Unique", ["planes"], "unique", name="find_values"),
        node("ReduceMax", ["unique"], "most", keepdims=0),
        node("Add", ["planes", "most"], "logits"),
    ]
    graph = write_graph(tmp_path / "model.onnx", nodes, {})
    with pytest.raises(ExportError) as refusal:
        build(graph, "fp32")
    assert str(refusal.value) == (
        f"{rtx.title} cannot take model.onnx: node 'find_values' (operator Unique): UNSUPPORTED_NODE in "
        "checkUnique. This TensorRT has no converter for it: do without the operator in the network, "
        + LEAVE_OUT
    )


def test_an_operator_of_another_domain_is_named_and_taken_for_no_plugin(build, tmp_path):
    nodes = [node("Sharpen", ["planes"], "logits", name="sharpen", domain="example.com")]
    with pytest.raises(
        ExportError, match=r"node 'sharpen' \(operator Sharpen\): INVALID_NODE .* do without it"
    ):
        build(write_graph(tmp_path / "model.onnx", nodes, {}), "fp32")


def test_a_file_that_is_no_graph_is_refused(build, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(ExportError, match=r"MODEL_DESERIALIZE_FAILED .* export it again") as refusal:
        build(tmp_path / "model.onnx")
    assert "cudaError 35" not in str(refusal.value)


def test_a_parser_without_names_is_helped_by_the_graph_itself(build, tmp_path, monkeypatch):
    from modelpack.tensorrt.features import FEATURES, Feature

    monkeypatch.setitem(FEATURES, "error_nodes", Feature("names", {"ParserError": ("no_such_name",)}, ()))
    graph = write_graph(tmp_path / "model.onnx", [node("Det", ["planes"], "logits", name="determinant")], {})
    with pytest.raises(ExportError, match=r"node 'determinant' \(operator Det\): UNSUPPORTED_NODE"):
        build(graph, "fp32")


class TestProfiles:
    def test_sizes_and_several_profiles_reach_the_plan(self, build, of_any_size):
        sizes = {"height": [32, 64, 96], "width": [32, 64, 128]}
        built = build(of_any_size, profiles=[{"batch": [1, 1, 1], **sizes}, {"batch": [2, 4, 16], **sizes}])
        assert built.details["profiles"] == [
            [[1, 32, 32, 3], [1, 64, 64, 3], [1, 96, 128, 3]],
            [[2, 32, 32, 3], [4, 64, 64, 3], [16, 96, 128, 3]],
        ]

    def test_a_graph_of_any_size_needs_ranges(self, build, of_any_size):
        with pytest.raises(
            ExportError, match=r"images of any height, so a plan needs its range: set .*profiles"
        ):
            build(of_any_size)

    def test_a_graph_of_one_size_takes_no_other(self, build, half):
        with pytest.raises(ExportError, match=r"height \[32, 64, 96\], and the graph takes 32 only"):
            build(half, profiles=[{"height": [32, 64, 96]}])

    def test_the_size_of_the_graph_may_be_written_down(self, build, half):
        profile = {"height": [HEIGHT] * 3, "width": [WIDTH] * 3}
        assert build(half, profiles=[profile]).details["profiles"][0][0] == [1, HEIGHT, WIDTH, 3]

    @pytest.mark.parametrize(
        ("profiles", "words"),
        [
            ([{"batch": [0, 1, 4]}], r"profiles\.0\.batch\.0 = 0: .* greater than 0"),
            ([{"batch": [4, 1, 8]}], r"ascending order, got \[4, 1, 8\]"),
            ([{"height": [64, 96, 32]}], r"height must be .* ascending"),
            ([], "at least 1"),
        ],
    )
    def test_ranges_that_make_no_sense_are_refused_as_settings(self, profiles, words):
        with pytest.raises(SettingsError, match=words):
            settings(profiles=profiles)


class TestTargets:
    def test_compute_capabilities_are_in_the_name(self, build, half, rtx):
        built = build(half, compute_capabilities=["sm86", "sm120"])
        assert str(built.name) == f"fp16-rtx-{rtx.version}-sm86_sm120.plan"

    def test_one_that_this_version_does_not_have_is_refused_with_those_it_has(self):
        with pytest.raises(SettingsError, match=r"has no sm70\. It has .*sm120, .*sm86"):
            plan_name("fp16", settings(compute_capabilities=["sm70"]))

    def test_current_stands_alone(self):
        with pytest.raises(SettingsError, match="current stands alone, it is found on this machine"):
            plan_name("fp16", settings(compute_capabilities=["current", "sm86"]))

    @pytest.mark.skipif(HAS_CUDA, reason="there is a CUDA device")
    def test_current_needs_a_gpu(self):
        with pytest.raises(
            RuntimeUnavailableError, match=r"\[current\] builds on the GPU that the plan is for: "
        ):
            plan_name("fp16", settings(compute_capabilities=["current"]))

    @pytest.mark.parametrize(
        "values",
        [
            {"timing_cache": "times.cache"},
            {"hardware_compatibility": "ampere_plus"},
            {"version_compatible": True},
        ],
        ids=lambda values: next(iter(values)),
    )
    def test_what_rtx_does_not_have_is_an_error(self, rtx, values):
        (key,) = values
        with pytest.raises(SettingsError, match=rf"export\.tensorrt\.{key} asks for .* which TensorRT-RTX"):
            check_settings(settings(**values), rtx)


class TestProgress:
    def test_lines_tell_how_far_it_is(self, build, half, monkeypatch, caplog):
        monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
        with caplog.at_level(logging.INFO):
            build(half)
        lines = [record.message for record in caplog.records if record.name == progress.__name__]
        assert len(lines) > 10
        assert all(line.startswith("building fp16 plan: ") for line in lines)

    def test_ctrl_c_stops_the_build_and_leaves_no_file(self, build, half, monkeypatch, tmp_path):
        def interrupt(self, phase):
            raise KeyboardInterrupt

        monkeypatch.setattr(progress.BuildProgress, "_show", interrupt)
        with pytest.raises(KeyboardInterrupt):
            build(half)
        assert not (tmp_path / "engines").exists()
