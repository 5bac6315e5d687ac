"""The trained kernels that a graph computes with, whatever they are stored as."""

from collections.abc import Mapping

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.onnx_edges import element_types
from export.precision.onnx_graph import COMPUTE

_LOG_ERRORS_ONLY = 3


def kernels(model: onnx.ModelProto) -> dict[str, NDArray[np.float32]]:
    """Node name -> its constant operand as it enters the product: dequantised, cast, rearranged.

    Convolutions and products of the main graph; those of two computed operands have no kernel.
    """
    constants = _Constants(model)
    operands = {}
    for node in model.graph.node:
        if node.op_type in COMPUTE:
            known = [name for name in node.input[:2] if constants.holds(name)]
            if len(known) == 1:
                operands[node.name] = known[0]
    values = constants.values(tuple(dict.fromkeys(operands.values())))
    return {node: values[name].astype(np.float32) for node, name in operands.items()}


class _Constants:
    """What a graph computes from its initialisers alone."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.stored = {entry.name: entry for entry in model.graph.initializer}
        self.makers = {name: node for node in model.graph.node for name in node.output}
        self._held = set(self.stored)
        for node in model.graph.node:  # in the order of computation, which ONNX asks for
            if all(source in self._held for source in node.input if source):
                self._held.update(node.output)

    def holds(self, name: str) -> bool:
        return name in self._held

    def values(self, names: tuple[str, ...]) -> Mapping[str, NDArray[np.generic]]:
        """Of tensors that `holds` is true for."""
        found = {name: numpy_helper.to_array(self.stored[name]) for name in names if name in self.stored}
        computed = [name for name in names if name not in self.stored]
        if not computed:
            return found
        needed = self._behind(computed)
        types = element_types(self.model)
        graph = helper.make_graph(
            [node for node in self.model.graph.node if needed & set(node.output)],
            "constants",
            [],
            [
                helper.make_tensor_value_info(name, types.get(name, TensorProto.FLOAT), None)
                for name in computed
            ],
            [entry for name, entry in self.stored.items() if name in needed],
        )
        part = helper.make_model(
            graph, opset_imports=self.model.opset_import, ir_version=self.model.ir_version
        )
        options = ort.SessionOptions()
        options.log_severity_level = _LOG_ERRORS_ONLY
        session = ort.InferenceSession(part.SerializeToString(), options, ["CPUExecutionProvider"])
        return {**found, **dict(zip(computed, session.run(computed, {}), strict=True))}

    def _behind(self, names: list[str]) -> set[str]:
        """The tensors themselves and all that they are computed from."""
        needed: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name and name not in needed:
                needed.add(name)
                maker = self.makers.get(name)
                waiting += list(maker.input) if maker is not None else []
        return needed
