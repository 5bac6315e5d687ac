"""Faults as conversions make them, each planted into the deployed graph of the tiny network."""

from collections.abc import Callable

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.onnx_edges import logits_name

STEM, HEAD = (24, 3, 3, 3), (11, 24, 1, 1)
"""Shapes of the two kernels."""


def copy_of(model: onnx.ModelProto) -> onnx.ModelProto:
    return onnx.ModelProto.FromString(model.SerializeToString())


def spoilt(model: onnx.ModelProto, fault: Callable[[onnx.ModelProto], None]) -> onnx.ModelProto:
    """A copy with the fault in it."""
    copy = copy_of(model)
    fault(copy)
    return copy


def constant(model: onnx.ModelProto, shape: tuple[int, ...]) -> onnx.TensorProto:
    return next(entry for entry in model.graph.initializer if tuple(entry.dims) == shape)


def change(entry: onnx.TensorProto, edit: Callable[[NDArray], NDArray]) -> None:
    values = np.ascontiguousarray(edit(numpy_helper.to_array(entry).copy()))
    entry.CopyFrom(numpy_helper.from_array(values, entry.name))


def insert(model: onnx.ModelProto, tensor: str, *nodes: onnx.NodeProto) -> None:
    """Put `nodes`, which turn `tensor` into `tensor/spoilt`, between its maker and all that read it."""
    place = next(i for i, node in enumerate(model.graph.node) if tensor in node.output)
    for node in model.graph.node:
        node.input[:] = [f"{tensor}/spoilt" if name == tensor else name for name in node.input]
    for offset, node in enumerate(nodes, start=1):
        model.graph.node.insert(place + offset, node)


def add_constant(model: onnx.ModelProto, name: str, values: NDArray) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
    return name


def only(model: onnx.ModelProto, operator: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.op_type == operator)


def pixels(model: onnx.ModelProto) -> str:
    """The image as float."""
    return only(model, "Cast").output[0]


def classes(model: onnx.ModelProto) -> str:
    """The mask as integers, (N, H, W), before its cast to bytes."""
    return next(node.input[0] for node in model.graph.node if "mask" in node.output)


def set_resize(model: onnx.ModelProto, **rules: bytes) -> None:
    for attribute in only(model, "Resize").attribute:
        if attribute.name in rules:
            attribute.s = rules[attribute.name]


def nan_weight(model):
    def edit(weights):
        weights[0, 0, 0, 0] = np.nan
        return weights

    change(constant(model, STEM), edit)


def bgr_for_rgb(model):
    change(constant(model, STEM), lambda weights: weights[:, ::-1])


def wrong_mean(model):
    entry = next(entry for entry in model.graph.initializer if entry.name == only(model, "Sub").input[1])
    change(entry, lambda mean: mean + 8)


def wrong_deviation(model):
    entry = next(entry for entry in model.graph.initializer if entry.name == only(model, "Div").input[1])
    change(entry, lambda deviation: deviation * 1.15)


def nearest_for_bilinear(model):
    set_resize(model, mode=b"nearest", coordinate_transformation_mode=b"asymmetric")


def align_corners_flipped(model):
    set_resize(model, coordinate_transformation_mode=b"half_pixel")


def half_pixel_shift(model):
    set_resize(model, coordinate_transformation_mode=b"asymmetric")


def shuffled_class(model):
    def edit(weights):
        weights[3] = np.random.default_rng(0).permutation(weights[3])
        return weights

    change(constant(model, HEAD), edit)


def classes_off_by_one(model):
    change(constant(model, HEAD), lambda weights: np.roll(weights, 1, axis=0))
    change(constant(model, HEAD[:1]), lambda bias: np.roll(bias, 1))


def swapped_channels(model):
    def edit(weights):
        weights[:, [2, 7]] = weights[:, [7, 2]]
        return weights

    change(constant(model, HEAD), edit)


def stale_weights(model):
    change(constant(model, STEM), lambda weights: weights * 1.02)


def weights_of_another_seed(model):
    seeded = np.random.default_rng(1)
    for shape in (STEM, HEAD):
        change(
            constant(model, shape),
            lambda weights: seeded.normal(0, weights.std(), weights.shape).astype(weights.dtype),
        )


def mirrored_mask(model):
    slicing = {"start": -1, "end": np.iinfo(np.int64).min, "axis": 2, "step": -1}
    steps = [add_constant(model, f"mirror/{key}", np.array([value])) for key, value in slicing.items()]
    name = classes(model)
    insert(model, name, helper.make_node("Slice", [name, *steps], [f"{name}/spoilt"], "mirror"))


def threshold_for_argmax(model):
    """The first class whose score is above 0, else class 0."""
    name = logits_name(model)
    zero = add_constant(model, "zero", np.array(0, np.float32))
    above = helper.make_node("Greater", [name, zero], ["above"], "above")
    votes = helper.make_node("Cast", ["above"], [f"{name}/spoilt"], "votes", to=TensorProto.FLOAT)
    insert(model, name, above, votes)


def pixels_that_overflow(model):
    """Bytes taken for signed ones: 128 becomes -128."""
    half = add_constant(model, "half", np.array(128, np.float32))
    whole = add_constant(model, "whole", np.array(256, np.float32))
    name = pixels(model)
    insert(
        model,
        name,
        helper.make_node("Add", [name, half], ["raised"], "raise"),
        helper.make_node("Mod", ["raised", whole], ["wrapped"], "wrap", fmod=1),
        helper.make_node("Sub", ["wrapped", half], [f"{name}/spoilt"], "lower"),
    )


def first_of_batch_for_all(model):
    zero = add_constant(model, "first", np.array([0], np.int64))
    name = classes(model)
    insert(
        model,
        name,
        helper.make_node("Gather", [name, zero], ["first_mask"], "take_first", axis=0),
        helper.make_node("Shape", [name], ["all_masks"], "how_many"),
        helper.make_node("Expand", ["first_mask", "all_masks"], [f"{name}/spoilt"], "give_to_all"),
    )


def classes_that_do_not_exist(model):
    """Not among `FAULTS`: the mask itself is refused, before anything is measured."""
    name = classes(model)
    more = add_constant(model, "more", np.array(11, np.int64))
    insert(model, name, helper.make_node("Add", [name, more], [f"{name}/spoilt"], "raise_classes"))


def noise(model):
    name = pixels(model)
    insert(
        model,
        name,
        helper.make_node("RandomNormalLike", [name], ["noise"], "draw", scale=2.0),
        helper.make_node("Add", [name, "noise"], [f"{name}/spoilt"], "disturb"),
    )


FAULTS = (
    nan_weight, bgr_for_rgb, wrong_mean, wrong_deviation, nearest_for_bilinear, align_corners_flipped,
    half_pixel_shift, shuffled_class, classes_off_by_one, swapped_channels, stale_weights,
    weights_of_another_seed, mirrored_mask, threshold_for_argmax, pixels_that_overflow,
    first_of_batch_for_all, noise,
)  # fmt: skip
SMALL_FAULTS = (half_pixel_shift, stale_weights, wrong_mean)
"""Those that change least."""
