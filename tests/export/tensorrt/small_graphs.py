"""Deployed graphs of one or two layers, written by hand: TensorRT builds them in a blink."""

from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

OPSET = 18
IR_VERSION = 10
HEIGHT, WIDTH = 32, 48
CLASSES = 4
TYPES = {"fp32": TensorProto.FLOAT, "fp16": TensorProto.FLOAT16}
NUMPY_TYPES = {"fp32": np.float32, "fp16": np.float16}


def convolution(
    name: str, source: str, target: str, *, kind: str = "fp32", channels: int = 3
) -> tuple[list[NodeProto], dict[str, np.ndarray]]:
    """A convolution that computes in `kind` and whose input and output are float32."""
    weight = np.random.default_rng(0).standard_normal((CLASSES, channels, 3, 3)).astype(np.float32)
    constants: dict[str, np.ndarray] = {}
    if kind == "int8":
        constants |= {
            f"{name}_scale": np.array(0.05, np.float32),
            f"{name}_zero": np.array(0, np.int8),
            f"{name}_weight_scale": np.full(CLASSES, 0.02, np.float32),
            f"{name}_weight_zero": np.zeros(CLASSES, np.int8),
            f"{name}_weight": np.clip(np.rint(weight / 0.02), -128, 127).astype(np.int8),
        }
        nodes = [
            node("QuantizeLinear", [source, f"{name}_scale", f"{name}_zero"], f"{name}_q"),
            node("DequantizeLinear", [f"{name}_q", f"{name}_scale", f"{name}_zero"], f"{name}_x"),
            node(
                "DequantizeLinear",
                [f"{name}_weight", f"{name}_weight_scale", f"{name}_weight_zero"],
                f"{name}_w",
                axis=0,
            ),
            node("Conv", [f"{name}_x", f"{name}_w"], target, name=name, pads=[1, 1, 1, 1]),
        ]
        return nodes, constants
    constants[f"{name}_weight"] = weight.astype(NUMPY_TYPES[kind])
    nodes = [
        node("Cast", [source], f"{name}_x", to=TYPES[kind]),
        node("Conv", [f"{name}_x", f"{name}_weight"], f"{name}_y", name=name, pads=[1, 1, 1, 1]),
        node("Cast", [f"{name}_y"], target, to=TensorProto.FLOAT),
    ]
    return nodes, constants


def node(
    operator: str, inputs: list[str], output: str, *, name: str | None = None, **attributes
) -> NodeProto:
    return helper.make_node(operator, inputs, [output], name=name or f"make_{output}", **attributes)


def write_graph(
    path: Path,
    nodes: list[NodeProto],
    constants: dict[str, np.ndarray],
    *,
    size: tuple[int, int] | None = (HEIGHT, WIDTH),
) -> Path:
    """Between the cast of the image, `planes` float32 (N, 3, H, W), and the mask, the argmax of `logits`."""
    dims = ["batch", *(size or ("height", "width"))]
    graph = helper.make_graph(
        [
            node("Cast", ["image"], "pixels", to=TensorProto.FLOAT),
            node("Transpose", ["pixels"], "planes", perm=[0, 3, 1, 2]),
            *nodes,
            node("ArgMax", ["logits"], "index", axis=1, keepdims=0),
            node("Cast", ["index"], "mask", to=TensorProto.UINT8),
        ],
        "small",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [*dims, 3])],
        [helper.make_tensor_value_info("mask", TensorProto.UINT8, dims)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("example.com", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION), path)
    return path


def write_convolutions(path: Path, *kinds: str, size: tuple[int, int] | None = (HEIGHT, WIDTH)) -> Path:
    """`conv0`, `conv1`, ... one behind the other, each computing in its kind."""
    nodes: list[NodeProto] = []
    constants: dict[str, np.ndarray] = {}
    source = "planes"
    for index, kind in enumerate(kinds):
        target = "logits" if index == len(kinds) - 1 else f"features{index}"
        channels = 3 if index == 0 else CLASSES
        more, values = convolution(f"conv{index}", source, target, kind=kind, channels=channels)
        nodes += more
        constants |= values
        source = target
    return write_graph(path, nodes, constants, size=size)
