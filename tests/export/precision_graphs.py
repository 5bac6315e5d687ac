"""Graphs of two convolutions in every honest and dishonest precision, written by hand."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 19
CHANNELS = 4
SCALE = np.array(0.05, np.float32)
KERNELS = np.random.default_rng(0).normal(size=(2, CHANNELS, CHANNELS, 1, 1)).astype(np.float32)
FLOAT, FLOAT16 = TensorProto.FLOAT, TensorProto.FLOAT16


class Graph:
    """Nodes and constants in the making; every method gives the name of the tensor it adds."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, values: np.ndarray) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def add(self, operator: str, *inputs: str, name: str = "", **attributes) -> str:
        output = f"tensor{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name or output, **attributes))
        return output

    def cast(self, tensor: str, to: int) -> str:
        return self.add("Cast", tensor, to=to)

    def quantised(self, tensor: str) -> str:
        """Through QuantizeLinear and back."""
        scale, zero = self.constant(SCALE), self.constant(np.int8(0))
        return self.add("DequantizeLinear", self.add("QuantizeLinear", tensor, scale, zero), scale, zero)

    def stored(self, integers: np.ndarray) -> str:
        """A constant of 8-bit integers, dequantised."""
        return self.add("DequantizeLinear", self.constant(integers), self.constant(SCALE))

    def conv(self, data: str, kernel: str, name: str) -> str:
        return self.add("Conv", data, kernel, name=name)

    def model(
        self, last: str, *, functions: Sequence[onnx.FunctionProto] = (), domains: Sequence[str] = ()
    ) -> onnx.ModelProto:
        shape = ("batch", CHANNELS, 8, 8)
        graph = helper.make_graph(
            [*self.nodes, helper.make_node("Identity", [last], ["out"])],
            "small",
            [helper.make_tensor_value_info("in", FLOAT, shape)],
            [helper.make_tensor_value_info("out", FLOAT, shape)],
            self.constants,
        )
        imports = [helper.make_opsetid("", OPSET), *(helper.make_opsetid(domain, 1) for domain in domains)]
        return helper.make_model(graph, opset_imports=imports, functions=functions, ir_version=9)


def in_float32() -> onnx.ModelProto:
    graph = Graph()
    first = graph.conv("in", graph.constant(KERNELS[0]), "first")
    return graph.model(graph.conv(first, graph.constant(KERNELS[1]), "second"))


def in_float16() -> onnx.ModelProto:
    graph, halves = Graph(), KERNELS.astype(np.float16)
    first = graph.conv(graph.cast("in", FLOAT16), graph.constant(halves[0]), "first")
    second = graph.conv(first, graph.constant(halves[1]), "second")
    return graph.model(graph.cast(second, FLOAT))


def float32_around_float16() -> onnx.ModelProto:
    """Weights and tensors of 16 bits, each cast to 32 before it is used."""
    graph, last = Graph(), "in"
    for name, kernel in zip(("first", "second"), KERNELS.astype(np.float16), strict=True):
        kernel_name = graph.cast(graph.constant(kernel), FLOAT)
        data = graph.cast(graph.cast(last, FLOAT16), FLOAT)
        last = graph.conv(data, kernel_name, name)
    return graph.model(last)


def in_int8(*, kinds: Sequence[str] = ("int8", "int8")) -> onnx.ModelProto:
    """Each of the two convolutions in "int8", in "fp32", with quantised "weights" alone or "data" alone."""
    graph, last = Graph(), "in"
    integers = np.clip(np.rint(KERNELS / SCALE), -128, 127).astype(np.int8)
    for name, kind, kernel, stored in zip(("first", "second"), kinds, KERNELS, integers, strict=True):
        data = graph.quantised(last) if kind in ("int8", "data") else last
        weights = graph.stored(stored) if kind in ("int8", "weights") else graph.constant(kernel)
        last = graph.conv(data, weights, name)
    return graph.model(last)
