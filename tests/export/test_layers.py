"""Layers divide a graph: every node is in one, with the product whose result it finishes."""

import onnx
import pytest
from onnx import TensorProto, helper

from export.errors import ExportError
from export.layers import layers_of, nodes_of


def graph(*nodes):
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8, 8])]
    outputs = [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)]
    return helper.make_model(helper.make_graph(list(nodes), "graph", inputs, outputs))


def node(operator, inputs, output):
    return helper.make_node(operator, inputs, [output], name=output)


def test_every_node_is_in_exactly_one_layer(tiny_graph):
    layers = layers_of(tiny_graph)
    assert sum(len(layer.nodes) for layer in layers) == len(tiny_graph.graph.node)
    assert nodes_of(layers) == {entry.name for entry in tiny_graph.graph.node}
    assert [layer.module for layer in layers] == ["stem", "head"]


def test_nodes_finish_the_last_product_before_them_and_open_the_first():
    layers = layers_of(
        graph(
            node("Sub", ["x", "mean"], "normalised"),
            node("Conv", ["normalised", "w1"], "first"),
            node("Relu", ["first"], "active"),
            node("Conv", ["active", "w2"], "second"),
            node("Add", ["active", "second"], "sum"),
            node("Sigmoid", ["sum"], "y"),
        )
    )
    assert {layer.name: layer.nodes for layer in layers} == {
        "first": {"normalised", "first", "active"},
        "second": {"second", "sum", "y"},
    }


def test_a_graph_whose_nodes_have_no_names_is_refused(tiny_graph):
    model = onnx.ModelProto.FromString(tiny_graph.SerializeToString())
    model.graph.node[1].name = ""
    with pytest.raises(ExportError, match="no names or equal ones"):
        layers_of(model)


def test_a_graph_without_products_is_refused():
    with pytest.raises(ExportError, match="no convolution and no matrix product"):
        layers_of(graph(node("Relu", ["x"], "y")))
