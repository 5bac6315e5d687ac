"""A layer that does not bear low precision is found and kept in float32; nothing else is."""

import json
import re
from pathlib import Path

import onnx
import pytest

from distill.networks import NETWORKS
from export.build import export_model
from export.config import ExportConfig
from export.errors import ParityError
from modelpack.package import ModelPackage
from tests.export.planted_networks import PLANTED
from tests.export.tiny_run import BUILDERS, HEIGHT, WIDTH, write_tiny_run

LAYERS = 4
"""Of every planted network."""
MIN_AGREEMENT = 0.9
"""Untrained networks answer in noise: int8 flips 2 % of their pixels, a planted layer more than 30 %."""
ON_AGREEMENT = {
    "rules": {
        "onnx-int8": {
            "min_agreement": MIN_AGREEMENT,
            "min_miou_share": None,
            "max_class_loss_points": None,
            "max_logit_noise": None,
            "max_siding": None,
        }
    }
}
"""And their mIoU is chance."""


@pytest.fixture(scope="module")
def export_planted(tmp_path_factory):
    """Builds a package of one planted network; every network is written once."""
    runs = {}
    with pytest.MonkeyPatch.context() as patch:
        for name, build in PLANTED.items():
            patch.setitem(NETWORKS, name, build)
            patch.setitem(BUILDERS, name, build)

        def export(network: str, target: str, **settings) -> ModelPackage:
            folder = tmp_path_factory.mktemp(network)
            if network not in runs:
                runs[network] = write_tiny_run(folder / "train", network)
            return export_model(
                ExportConfig(
                    run_dir=runs[network],
                    package_dir=folder / "package",
                    targets=("onnx-fp32", target),
                    size=(HEIGHT, WIDTH),
                    calibration_images=4,
                    **{"rescue": {"images": 2}, **settings},
                )
            )

        yield export


@pytest.fixture(scope="module")
def rescued_fp16(export_planted):
    return export_planted("overflow", "onnx-fp16")


def kept(package, target):
    """Modules of the network that stay in float32."""
    return list(package.artifact(target).details["rescue"]["kept_layers"].values())


def test_a_layer_that_overflows_float16_is_kept_and_no_other(rescued_fp16):
    assert kept(rescued_fp16, "onnx-fp16") == ["planted"]
    proof = rescued_fp16.artifact("onnx-fp16").details["precision_proof"]
    assert len(proof["kept"]) == 1
    assert proof["in_claimed"] == LAYERS - 1


def test_a_network_that_bears_float16_is_left_alone(export_planted):
    package = export_planted("harmless", "onnx-fp16")
    assert "rescue" not in package.artifact("onnx-fp16").details
    assert not list((package.path / "reports").glob("sensitivity*"))


def test_without_rescue_the_overflow_is_refused(export_planted):
    with pytest.raises(ParityError, match="logits are NaN or infinite"):
        export_planted("overflow", "onnx-fp16", rescue={"enabled": False})


def test_the_model_card_tells_what_was_kept_and_why(rescued_fp16):
    card = " ".join((rescued_fp16.path / "README.md").read_text().split())
    assert f"`onnx-fp16` keeps 1 of {LAYERS} layers in float32: `planted`. Without that: " in card
    assert "logits are NaN or infinite" in card


def test_the_report_ranks_all_layers_and_lists_all_candidates(rescued_fp16):
    table = json.loads((rescued_fp16.path / "reports/sensitivity-onnx-fp16.json").read_text())
    flips = [entry["flips"] for entry in table["layers"]]
    assert len(flips) == LAYERS
    assert flips == sorted(flips, reverse=True)
    assert table["layers"][0]["module"] == "planted"
    assert [bool(candidate["broken"]) for candidate in table["candidates"]] == [True, False]
    assert (rescued_fp16.path / "reports/sensitivity-onnx-fp16.png").read_bytes()[1:4] == b"PNG"


def test_the_pareto_holds_what_was_packed_and_what_was_tried(rescued_fp16):
    points = json.loads((rescued_fp16.path / "reports/pareto.json").read_text())["points"]
    found = {(point["artifact"], point["kept_layers"]): point["is_packed"] for point in points}
    assert found == {("onnx-fp32", 0): True, ("onnx-fp16", 1): True, ("onnx-fp16", 0): False}
    packed = {point["artifact"]: point["size_bytes"] for point in points if point["is_packed"]}
    assert packed == {entry.name: entry.size_bytes for entry in rescued_fp16.manifest.artifacts}


def test_the_front_is_what_no_other_graph_beats(rescued_fp16):
    points = json.loads((rescued_fp16.path / "reports/pareto.json").read_text())["points"]
    costs = [(-point["miou"], point["latency_ms"], point["size_bytes"]) for point in points]
    for point, cost in zip(points, costs, strict=True):
        beaten = any(
            other != cost and all(a <= b for a, b in zip(other, cost, strict=True)) for other in costs
        )
        assert point["is_on_front"] == (not beaten)
        assert point["latency_ms"] == min(point["all_latencies_ms"].values())
        assert point["all_latencies_ms"][point["runtime"]] == point["latency_ms"]


def test_a_rule_that_float32_misses_too_is_not_blamed_on_precision(export_planted):
    rules = {"onnx-fp16": {"max_logit_error": 0}}
    with pytest.raises(ParityError, match=r"with all of them there it still breaks its rule \(a logit"):
        export_planted("harmless", "onnx-fp16", parity={"rules": rules})


@pytest.fixture(scope="module")
def rescued_int8(export_planted):
    return export_planted("outlier", "onnx-int8", parity=ON_AGREEMENT)


def test_a_layer_that_int8_breaks_is_kept_and_no_other(rescued_int8):
    assert kept(rescued_int8, "onnx-int8") == ["planted"]
    agreement = {claim.artifact: claim.value for claim in rescued_int8.manifest.claims}["onnx-int8"]
    assert agreement >= MIN_AGREEMENT


def test_the_layer_that_was_kept_reads_floats_and_the_others_int8(rescued_int8):
    graph = onnx.load(rescued_int8.artifact_path("onnx-int8")).graph
    makers = {name: node.op_type for node in graph.node for name in node.output}
    [planted] = rescued_int8.artifact("onnx-int8").details["rescue"]["kept_layers"]
    for node in graph.node:
        if node.op_type == "Conv":
            is_int8 = makers.get(node.input[0]) == makers.get(node.input[1]) == "DequantizeLinear"
            assert is_int8 == (node.name != planted)


def test_a_network_that_bears_int8_is_left_alone(export_planted):
    package = export_planted("harmless", "onnx-int8", parity=ON_AGREEMENT)
    assert "rescue" not in package.artifact("onnx-int8").details


def test_where_too_many_layers_break_the_artifact_is_refused_with_the_figures(export_planted):
    with pytest.raises(ParityError) as refusal:
        export_planted("hopeless", "onnx-int8", parity=ON_AGREEMENT)
    sentence = str(refusal.value)
    assert re.search(r"onnx-int8 is refused.* mask agreement 0\.\d+ is below 0\.9", sentence)
    assert f"With the 1 most sensitive of {LAYERS} layers in float32, mask agreement 0." in sentence
    assert "max_kept_share=0.25 allows no more" in sentence
    rejected = Path(re.search(r"are in (\S+)\.$", sentence)[1])
    assert {"parity.json", "sensitivity-onnx-int8.json"} <= {file.name for file in rejected.iterdir()}


def test_more_layers_are_kept_where_more_are_allowed(export_planted):
    package = export_planted(
        "hopeless", "onnx-int8", parity=ON_AGREEMENT, rescue={"images": 2, "max_kept_share": 0.5}
    )
    assert sorted(kept(package, "onnx-int8")) == ["last", "planted"]
