"""A model package made by hand whose right answers numpy can give: tests need no trained network."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from modelpack.labels import LabelSet, distinct_palette
from modelpack.manifest import TensorSpec
from modelpack.package import ModelPackage, new_package
from modelpack.png import encode_png_rgb
from modelpack.preprocess import Normalisation, Resizing

OPSET = 17
IR_VERSION = 9
NUM_BRIGHTNESS_LEVELS = 256


def tiny_answer(
    images_nhwc_u8: NDArray[np.uint8], num_classes: int = 4, levels: int = NUM_BRIGHTNESS_LEVELS
) -> NDArray[np.uint8]:
    """The mask of the tiny network, (N, H, W) or (H, W): mean of R, G, B cut into ranges of `levels`."""
    total = images_nhwc_u8.astype(np.int64).sum(axis=-1)
    return (total * num_classes // (3 * levels)).astype(np.uint8)


def tiny_confidence(images_nhwc_u8: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The `confidence` output: the red channel, so that it is computable too."""
    return images_nhwc_u8[..., 0]


def write_tiny_package(
    path: Path,
    *,
    num_classes: int = 4,
    size: tuple[int, int] | None = (48, 64),
    confidence: bool = False,
    batch: int | None = None,
    slow_layers: int = 0,
    name: str = "tiny",
    num_samples: int = 2,
    version: str = "1",
    levels: int = NUM_BRIGHTNESS_LEVELS,
    size_multiple: int = 1,
) -> ModelPackage:
    """Write and open a package whose graph computes `tiny_answer`.

    `size` is (height, width), None makes both dynamic; `batch` fixes the batch size; each of `slow_layers`
    adds a matrix product of some milliseconds to every call, whatever the image. Packages of other `levels`
    (256 or more) give other masks of the same classes.
    """
    height, width = size or (None, None)
    with new_package(path) as package:
        model = tiny_model(
            num_classes, size, confidence=confidence, batch=batch, slow_layers=slow_layers, levels=levels
        )
        onnx.save(model, package.folder / "model.fp32.onnx")
        package.add_artifact(
            "onnx-fp32", "model.fp32.onnx", kind="onnx", precision="fp32", details={"opset": OPSET}
        )
        random = np.random.default_rng(0)
        for _ in range(num_samples):
            image_hwc = random.integers(0, 256, (*(size or (48, 64)), 3), dtype=np.uint8)
            package.add_sample(encode_png_rgb(image_hwc), ".png", tiny_answer(image_hwc, num_classes, levels))
        shape = tuple(_dims(size, batch))
        outputs = [TensorSpec(name="mask", dtype="uint8", shape=shape)]
        if confidence:
            outputs.append(TensorSpec(name="confidence", dtype="uint8", shape=shape))
        package.write_manifest(
            name=name,
            version=version,
            labels=LabelSet(
                names=tuple(f"class{index}" for index in range(num_classes)),
                palette=distinct_palette(num_classes),
            ),
            normalisation=Normalisation(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
            resizing=Resizing(height=height, width=width),
            size_multiple=size_multiple,
            inputs=(TensorSpec(name="image", dtype="uint8", shape=(*shape, 3)),),
            outputs=tuple(outputs),
        )
        package.write_text("README.md", f"# {name}\n")
    return ModelPackage.open(path)


def tiny_model(
    num_classes: int,
    size: tuple[int, int] | None,
    *,
    confidence: bool = False,
    batch: int | None = None,
    slow_layers: int = 0,
    levels: int = NUM_BRIGHTNESS_LEVELS,
) -> onnx.ModelProto:
    """The graph alone: image uint8 NHWC -> mask uint8 NHW."""
    dims = _dims(size, batch)
    nodes = [
        helper.make_node("Cast", ["image"], ["float_image"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["float_image", "channel_axis"], ["total"], keepdims=0),
        helper.make_node("Mul", ["total", "num_classes"], ["scaled"]),
        helper.make_node("Div", ["scaled", "levels"], ["ratio"]),
        helper.make_node("Floor", ["ratio"], ["index"]),
    ]
    constants = {
        "channel_axis": np.array([3], np.int64),
        "num_classes": np.array(num_classes, np.float32),
        "levels": np.array(3 * levels, np.float32),
    }
    last = "index"
    if slow_layers:
        constants["side"] = np.array([1024, 1024], np.int64)
        constants["zero"] = np.array(0, np.float32)
        nodes += [
            helper.make_node("ReduceMin", ["index"], ["smallest"], keepdims=0),
            helper.make_node("Expand", ["smallest", "side"], ["product0"]),
        ]
        for layer in range(slow_layers):
            nodes.append(helper.make_node("MatMul", [f"product{layer}", "weight"], [f"product{layer + 1}"]))
        constants["weight"] = np.eye(1024, dtype=np.float32)
        nodes += [
            helper.make_node("ReduceMin", [f"product{slow_layers}"], ["probe"], keepdims=0),
            helper.make_node("Mul", ["probe", "zero"], ["nothing"]),
            helper.make_node("Add", ["index", "nothing"], ["delayed"]),
        ]
        last = "delayed"
    nodes.append(helper.make_node("Cast", [last], ["mask"], to=TensorProto.UINT8))
    outputs = [helper.make_tensor_value_info("mask", TensorProto.UINT8, dims)]
    if confidence:
        constants["red"] = np.array(0, np.int64)
        nodes.append(helper.make_node("Gather", ["image", "red"], ["confidence"], axis=3))
        outputs.append(helper.make_tensor_value_info("confidence", TensorProto.UINT8, dims))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [*dims, 3])],
        outputs,
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model


def _dims(size: tuple[int, int] | None, batch: int | None) -> list[int | str]:
    height, width = size or ("height", "width")
    return ["batch" if batch is None else batch, height, width]
