"""The kernels of a graph are found however it is built."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from export.kernels import kernels

LAYERS = 400
"""More than a recursion could follow."""


def test_kernels_are_found_behind_a_long_graph_and_a_long_way_of_constants():
    kernel = np.ones((1, 1, 1, 1), np.float32)
    behind = [helper.make_node("Relu", [f"x{step}"], [f"x{step + 1}"]) for step in range(LAYERS)]
    constants = [helper.make_node("Neg", [f"w{step}"], [f"w{step + 1}"]) for step in range(LAYERS)]
    conv = helper.make_node("Conv", [f"x{LAYERS}", f"w{LAYERS}"], ["y"], name="conv")
    shape = [1, 1, 2, 2]
    graph = helper.make_graph(
        [*behind, *constants, conv],
        "long",
        [helper.make_tensor_value_info("x0", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(kernel, "w0")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    np.testing.assert_array_equal(kernels(model)["conv"], kernel)
