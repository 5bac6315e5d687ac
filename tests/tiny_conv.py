"""A deployed graph with one convolution, in float32 or quantised, whose logits numpy can give."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

NUM_CLASSES, SIDE = 4, 16
OPSET, IR_VERSION = 18, 9
PIXEL_SCALE, WEIGHT_SCALE = 3.0, 0.01
"""Steps of the quantised graph. Weights are multiples of theirs; `quantised` rounds pixels to theirs."""


def conv_weights() -> NDArray[np.float32]:
    """(NUM_CLASSES, 3, 3, 3), each a whole multiple of WEIGHT_SCALE that fits an int8."""
    steps = np.random.default_rng(3).integers(-127, 128, (NUM_CLASSES, 3, 3, 3))
    return (steps * WEIGHT_SCALE).astype(np.float32)


def quantised(images_nhwc_u8: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The images as the quantised graph's convolution sees them."""
    return (np.rint(images_nhwc_u8 / PIXEL_SCALE) * PIXEL_SCALE).astype(np.uint8)


def conv_logits(images_nhwc_u8: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What the graph computes, (N, NUM_CLASSES, H, W), one tap of the kernel at a time in float64."""
    padded = np.pad(images_nhwc_u8.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = images_nhwc_u8.shape[1:3]
    total = np.zeros((len(images_nhwc_u8), NUM_CLASSES, height, width))
    for row in range(3):
        for column in range(3):
            window = padded[:, row : row + height, column : column + width]
            total += np.einsum("nhwc,kc->nkhw", window, conv_weights()[:, :, row, column].astype(np.float64))
    return total


def write_conv_model(path: Path, *, is_int8: bool = False) -> Path:
    """`image` uint8 (batch, SIDE, SIDE, 3) to `mask` uint8 and `logits` float32."""
    nodes = [
        helper.make_node("Cast", ["image"], ["float_nhwc"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float_nhwc"], ["pixels"], perm=[0, 3, 1, 2]),
    ]
    constants = {"weights": conv_weights()}
    if is_int8:
        constants = {
            "weights_q": np.rint(conv_weights() / WEIGHT_SCALE).astype(np.int8),
            "weight_scale": np.full(NUM_CLASSES, WEIGHT_SCALE, np.float32),
            "weight_zero": np.zeros(NUM_CLASSES, np.int8),
            "pixel_scale": np.array(PIXEL_SCALE, np.float32),
            "pixel_zero": np.array(0, np.uint8),
        }
        pixel, weight = ["pixel_scale", "pixel_zero"], ["weight_scale", "weight_zero"]
        nodes += [
            helper.make_node("QuantizeLinear", ["pixels", *pixel], ["pixels_q"]),
            helper.make_node("DequantizeLinear", ["pixels_q", *pixel], ["pixels_dq"]),
            helper.make_node("DequantizeLinear", ["weights_q", *weight], ["weights"], axis=0),
        ]
    nodes += [
        helper.make_node(
            "Conv", ["pixels_dq" if is_int8 else "pixels", "weights"], ["logits"], pads=[1] * 4, name="conv"
        ),
        helper.make_node("ArgMax", ["logits"], ["index"], axis=1, keepdims=0),
        helper.make_node("Cast", ["index"], ["mask"], to=TensorProto.UINT8),
    ]
    size = [SIDE, SIDE]
    graph = helper.make_graph(
        nodes,
        "conv",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", *size, 3])],
        [
            helper.make_tensor_value_info("mask", TensorProto.UINT8, ["batch", *size]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", NUM_CLASSES, *size]),
        ],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    opset = helper.make_opsetid("", OPSET)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION), path)
    return path
