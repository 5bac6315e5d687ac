"""Int8 after training: what is int8, what stays float, and who takes the file."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from distill.datasets.camvid import CAMVID_LABELS
from export.errors import ExportError
from export.int8_settings import Int8Settings
from export.quantisable import OPERATOR_SETS
from export.quantise import quantise
from export.tensorrt.network import parse
from modelpack.tensorrt.flavour import find_flavour
from tests.export.int8.graphs import IMAGES, constants, makers, nodes, product_on, two_factor_products

MAX_SIZE_SHARE = 0.35
"""A quarter, and the scales."""


def test_weights_are_stored_as_int8_with_a_scale_for_each_output_channel(mixed_graph, int8_graph):
    values, makes = constants(int8_graph), makers(int8_graph)
    for node in nodes(int8_graph, "Conv"):
        dequantise = makes[node.input[1]]
        integers, scale = values[dequantise.input[0]], values[dequantise.input[1]]
        assert integers.dtype == np.int8
        assert scale.shape == (integers.shape[0],)
        assert len(set(scale.tolist())) > 1
    floats = [name for name, value in values.items() if value.dtype == np.float32 and value.ndim > 1]
    assert all(values[name].shape[-2:] == (1, 1) for name in floats)  # mean and deviation of the pixels


def test_linear_layers_are_int8_too_and_products_of_two_computed_factors_are_not(mixed_graph, int8_graph):
    makes = makers(int8_graph)
    kinds = [{makes[name].op_type for name in node.input} for node in nodes(int8_graph, "MatMul")]
    assert kinds.count({"DequantizeLinear"}) == 1
    assert len(kinds) - 1 == len(two_factor_products(mixed_graph)) == 2
    assert not any("DequantizeLinear" in kind for kind in kinds if kind != {"DequantizeLinear"})


def test_no_bias_is_quantised(int8_graph):
    values = constants(int8_graph)
    biases = [node.input[2] for node in nodes(int8_graph, "Conv")]
    assert len(biases) == 3
    assert {values[name].dtype for name in biases} == {np.dtype(np.float32)}
    assert TensorProto.INT32 not in {entry.data_type for entry in int8_graph.graph.initializer}


def test_there_are_no_zero_points_but_zero(int8_graph):
    values = constants(int8_graph)
    for node in nodes(int8_graph, "QuantizeLinear", "DequantizeLinear"):
        assert values[node.input[2]].dtype == np.int8
        assert not values[node.input[2]].any()


@pytest.mark.parametrize("operators", OPERATOR_SETS)
def test_pixels_and_logits_stay_in_float(mixed_graph, operators):
    model = quantise(mixed_graph, IMAGES, Int8Settings(operators=operators))
    makes = makers(model)
    assert makes[makes["mask"].input[0]].op_type != "DequantizeLinear"
    for node in (nodes(model, "ArgMax")[0], nodes(model, "Resize")[-1], *nodes(model, "Sub", "Div")):
        assert not any(makes[name].op_type == "DequantizeLinear" for name in node.input if name in makes)


def test_the_wide_set_quantises_what_lies_between_products(mixed_graph):
    wide = quantise(mixed_graph, IMAGES, Int8Settings(operators="wide"))
    narrow = quantise(mixed_graph, IMAGES, Int8Settings(operators="conv"))
    for model, is_int8 in ((wide, True), (narrow, False)):
        makes = makers(model)
        for node in (nodes(model, "Add")[0], nodes(model, "Resize")[0]):
            assert (makes[node.input[0]].op_type == "DequantizeLinear") is is_int8


def test_a_kept_node_computes_as_before(mixed_graph, int8_graph):
    kept = product_on(mixed_graph, "head")
    model = quantise(mixed_graph, IMAGES, Int8Settings(), {kept})
    node = next(node for node in model.graph.node if node.name == kept)
    before = next(node for node in mixed_graph.graph.node if node.name == kept)
    np.testing.assert_array_equal(constants(model)[node.input[1]], constants(mixed_graph)[before.input[1]])
    assert list(node.input) == list(before.input)
    assert len(nodes(model, "QuantizeLinear")) == len(nodes(int8_graph, "QuantizeLinear")) - 1


def test_a_node_in_float_reads_no_rounded_values_though_its_neighbour_does(mixed_graph, int8_graph):
    before, after = (nodes(model, "Add")[0] for model in (mixed_graph, int8_graph))
    assert list(after.input) == list(before.input)
    assert any(before.input[0] in node.input for node in nodes(int8_graph, "QuantizeLinear"))


def test_nothing_left_to_quantise_is_refused(tiny_graph):
    everything = [node.name for node in tiny_graph.graph.node]
    with pytest.raises(ExportError, match=r"nothing to quantise.*Leave onnx-int8 out"):
        quantise(tiny_graph, IMAGES, Int8Settings(), everything)


def test_the_file_is_a_quarter_of_the_float_one(mixed_graph, int8_graph):
    assert int8_graph.ByteSize() < MAX_SIZE_SHARE * mixed_graph.ByteSize()


def test_the_files_facts_survive_and_the_library_adds_none(mixed_graph, int8_graph):
    facts = {entry.key: entry.value for entry in int8_graph.metadata_props}
    assert json.loads(facts["classes"]) == list(CAMVID_LABELS.names)
    assert facts == {entry.key: entry.value for entry in mixed_graph.metadata_props}
    assert int8_graph.opset_import == mixed_graph.opset_import


@pytest.mark.parametrize("operators", OPERATOR_SETS)
def test_tensorrt_parses_it(mixed_graph, operators, tmp_path):
    model = quantise(mixed_graph, IMAGES, Int8Settings(operators=operators))
    onnx.save(model, tmp_path / "model.onnx")
    parsed = parse(find_flavour("rtx"), tmp_path / "model.onnx")
    kinds = [layer.type.name for layer in parsed.layers()]
    assert kinds.count("QUANTIZE") == len(nodes(model, "QuantizeLinear"))
