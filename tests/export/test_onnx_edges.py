"""TensorRT takes uint8 only at the edges: the rule holds for what we export, and refuses what breaks it."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from distill.datasets.camvid import CAMVID_LABELS
from distill.run import TrainingRun, load_student
from export.artifact_runtime import open_probe
from export.errors import ExportError
from export.graph import DeployedGraph
from export.onnx_edges import check_uint8_edges, with_logits_output
from export.onnx_export import export_onnx
from export.reference import Reference
from tests.export.tiny_run import HEIGHT, WIDTH

MAX_LOGIT_ERROR = 1e-3
"""Logits of tens in float32, summed in another order."""


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
    assert [value.name for value in probe.graph.output] == ["mask", name]
    assert [node.SerializeToString() for node in probe.graph.node[: len(tiny_graph.graph.node)]] == [
        node.SerializeToString() for node in tiny_graph.graph.node
    ]


@pytest.mark.parametrize("gives_logits", [False, True])
def test_the_probes_logits_are_those_of_the_image_where_the_network_pads_it(tiny_run, gives_logits):
    network = load_student(TrainingRun.open(tiny_run))
    size = (HEIGHT - 3, WIDTH - 1)
    model = export_onnx(DeployedGraph(network, logits=gives_logits), size, CAMVID_LABELS, opset=18)
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    with open_probe(model) as (runtime, name):
        found = runtime.run(images)
    np.testing.assert_allclose(found[name], Reference(network, "cpu").logits(images), atol=MAX_LOGIT_ERROR)
    np.testing.assert_array_equal(found["mask"], found[name].argmax(1))
