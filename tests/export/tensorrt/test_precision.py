"""Proof of a plan's precision: from the parsed network, and from what the engine inspector tells."""

import json

import pytest

from export.errors import StageError
from export.precision.proof import PrecisionError
from export.precision.tensorrt_engine import engine_nodes
from export.precision.tensorrt_network import compute_layers, prove_network
from export.tensorrt.network import parse
from export.tensorrt.plan import build_plan
from export.tensorrt.settings import TensorRTSettings
from modelpack.errors import SegError
from modelpack.tensorrt.flavour import find_flavour
from tests.export.tensorrt.small_graphs import CLASSES, convolution, node, write_convolutions, write_graph

RTX = TensorRTSettings(flavour="rtx")


@pytest.fixture(scope="module")
def rtx():
    return find_flavour("rtx")


@pytest.mark.parametrize("kind", ["fp32", "fp16", "int8"])
def test_every_convolution_is_found_with_what_it_computes_in(rtx, tmp_path, kind):
    parsed = parse(rtx, write_convolutions(tmp_path / "graph.onnx", kind, kind))
    found = {layer.name: (layer.operator, layer.computes_in) for layer in compute_layers(parsed)}
    assert found == {"conv0": ("CONVOLUTION", kind), "conv1": ("CONVOLUTION", kind)}


def test_products_are_found_too(rtx, tmp_path):
    nodes = [
        node("MatMul", ["planes", "planes_turned"], "product", name="product"),
        node("Einsum", ["planes", "planes_turned"], "sum", name="sum", equation="nchw,ncwk->nchk"),
        node("Transpose", ["planes"], "planes_turned", perm=[0, 1, 3, 2]),
        node("Add", ["product", "sum"], "logits"),
    ]
    parsed = parse(rtx, write_graph(tmp_path / "graph.onnx", [nodes[2], *nodes[:2], nodes[3]], {}))
    found = {(layer.name, layer.operator, layer.computes_in) for layer in compute_layers(parsed)}
    assert found == {("product", "MATRIX_MULTIPLY", "fp32"), ("sum", "EINSUM", "fp32")}


def test_float32_that_is_called_float16_builds_no_plan(tmp_path):
    graph = write_convolutions(tmp_path / "graph.onnx", "fp32", "fp16")
    with pytest.raises(
        PrecisionError, match=r"tensorrt-fp16 is refused.*TensorRT network.*conv0 \(fp32\)"
    ) as no:
        build_plan(graph, tmp_path / "x.plan", "fp16", RTX)
    assert isinstance(no.value, StageError)
    assert no.value.stage == "tensorrt-fp16"
    assert not (tmp_path / "x.plan").exists()


def test_layers_kept_on_purpose_are_told_apart(tmp_path):
    graph = write_convolutions(tmp_path / "graph.onnx", "fp32", "int8")
    built = build_plan(graph, tmp_path / "x.plan", "int8", RTX, kept_float32=["conv0"])
    assert built.proof.kept == {"conv0": "fp32"}
    assert (built.proof.nodes, built.proof.in_claimed, built.proof.share) == (2, 1, 1.0)


def test_half_weights_cast_up_before_their_use_are_no_proof_of_float32(rtx, tmp_path):
    nodes, constants = convolution("conv0", "planes", "logits")
    nodes.insert(0, node("Cast", ["planes"], "narrow", to=10))
    nodes[1] = node("Cast", ["narrow"], "conv0_x", to=1)
    parsed = parse(rtx, write_graph(tmp_path / "graph.onnx", nodes, constants))
    (layer,) = compute_layers(parsed)
    assert layer.computes_in == "fp16 cast to fp32 x fp32"
    assert prove_network(parsed, "fp32", ()).broken


def test_int8_data_with_float_weights_is_not_int8(rtx, tmp_path):
    nodes, constants = convolution("conv0", "planes", "logits", kind="int8")
    del nodes[2]
    constants["conv0_w"] = constants.pop("conv0_weight").astype("float32")
    parsed = parse(rtx, write_graph(tmp_path / "graph.onnx", nodes, constants))
    assert [layer.computes_in for layer in compute_layers(parsed)] == ["int8 x fp32"]


def engine_information(*layers):
    return json.dumps({"Layers": list(layers), "Bindings": ["image", "mask"]})


def layer(name, kind, **tensor):
    return {"Name": name, "LayerType": kind, "Inputs": [{"Name": "x", "Dimensions": [1, CLASSES], **tensor}]}


@pytest.mark.parametrize(
    ("tensor", "computes_in"),
    [
        ({"Format/Datatype": "Channel major FP16 format where channel % 8 == 0"}, "fp16"),
        ({"Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}, "int8"),
        ({"Format/Datatype": "Row major linear FP32"}, "fp32"),
        ({"Format/Datatype": "Half"}, "fp16"),
        ({"Format": "NHWC8", "DataType": "BFloat16"}, "bf16"),
        ({"Format": "Linear", "DataType": "Float"}, "fp32"),
    ],
)
def test_the_inspectors_words_are_read_in_the_form_of_each_version(tensor, computes_in):
    information = engine_information(layer("conv0", "CaskConvolution", **tensor))
    assert [entry.computes_in for entry in engine_nodes(information)] == [computes_in]


def test_layers_that_do_not_multiply_or_say_nothing_are_left_out():
    information = engine_information(
        layer("relu", "PointWiseV2", **{"Format/Datatype": "Half"}),
        layer("conv0", "CaskConvolution", **{"Format/Datatype": "a form that nobody knows"}),
        {"Name": "{ForeignNode[conv0...mask]}", "LayerType": "Myelin"},
        "conv1",
    )
    assert list(engine_nodes(information)) == []


def test_a_fused_layer_bears_the_name_of_the_node_that_was_kept():
    fused = layer("pool + conv7 + relu", "CaskConvolution", **{"Format/Datatype": "FP32"})
    assert [entry.name for entry in engine_nodes(engine_information(fused), kept=["conv7"])] == ["conv7"]
    assert [entry.name for entry in engine_nodes(engine_information(fused))] == ["pool"]


def test_an_inspector_that_answers_no_json_is_an_error():
    with pytest.raises(SegError, match="no JSON"):
        list(engine_nodes("Layers:\nconv0"))
