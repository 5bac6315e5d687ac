"""TensorRT takes uint8 only at the edges: the rule holds for what we export, and refuses what breaks it."""

import onnx
import pytest
from onnx import TensorProto, helper

from export.errors import ExportError
from export.onnx_edges import check_uint8_edges, logits_name, with_logits_output


def graph_of(*nodes):
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ("batch", 4, 4, 3))
    mask = helper.make_tensor_value_info("mask", TensorProto.UINT8, None)
    model = helper.make_model(helper.make_graph(list(nodes), "made", [image], [mask]))
    return onnx.shape_inference.infer_shapes(model)


def cast(source, target, to):
    return helper.make_node("Cast", [source], [target], name=f"cast_{target}", to=to)


ARGMAX = helper.make_node("ArgMax", ["pixels"], ["chosen"], axis=3, keepdims=0)


def test_casts_at_both_edges_are_right():
    check_uint8_edges(
        graph_of(
            cast("image", "pixels", TensorProto.FLOAT), ARGMAX, cast("chosen", "mask", TensorProto.UINT8)
        )
    )


def test_the_exported_graph_reads_pixels_by_one_cast_and_ends_in_one(tiny_graph):
    readers = [node for node in tiny_graph.graph.node if "image" in node.input]
    makers = [node for node in tiny_graph.graph.node if "mask" in node.output]
    assert [node.op_type for node in readers + makers] == ["Cast", "Cast"]
    check_uint8_edges(tiny_graph)


def test_a_node_that_moves_bytes_before_the_cast_is_named():
    move = helper.make_node("Transpose", ["image"], ["moved"], name="early", perm=[0, 3, 1, 2])
    argmax = helper.make_node("ArgMax", ["pixels"], ["chosen"], axis=1, keepdims=0)
    model = graph_of(
        move, cast("moved", "pixels", TensorProto.FLOAT), argmax, cast("chosen", "mask", TensorProto.UINT8)
    )
    with pytest.raises(ExportError, match="early"):
        check_uint8_edges(model)


def test_a_node_that_moves_bytes_after_the_cast_is_named():
    move = helper.make_node("Identity", ["bytes"], ["mask"], name="late")
    model = graph_of(
        cast("image", "pixels", TensorProto.FLOAT), ARGMAX, cast("chosen", "bytes", TensorProto.UINT8), move
    )
    with pytest.raises(ExportError, match=r"cast_bytes|late"):
        check_uint8_edges(model)


def test_the_probe_is_the_shipped_graph_with_its_logits_laid_open(tiny_graph):
    probe, name = with_logits_output(tiny_graph)
    assert name == logits_name(tiny_graph)
    assert [value.name for value in probe.graph.output] == ["mask", name]
    assert [node.SerializeToString() for node in probe.graph.node] == [
        node.SerializeToString() for node in tiny_graph.graph.node
    ]
