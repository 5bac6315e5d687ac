"""A small graph with every kind of product, and how to look into its int8 form."""

import numpy as np
import onnx
from onnx import numpy_helper
from torch import nn

from modelpack.runtimes.onnxruntime import OnnxRuntime
from tests.export.tiny_run import HEIGHT, WIDTH, TinyNetwork

SEEDED = np.random.default_rng(0)
IMAGES = [SEEDED.integers(0, 256, (1, HEIGHT, WIDTH, 3), np.uint8) for _ in range(3)]
MIN_AGREEMENT = 0.9
"""On noise, whose classes are decided by little."""


class MixedNetwork(TinyNetwork):
    """Between stem and head: a residual block, a linear layer and a product of two computed factors."""

    def __init__(self, num_classes):
        super().__init__(num_classes)
        self.block = nn.Conv2d(24, 24, 9, padding=4)
        self.linear = nn.Linear(24, 24, bias=False)

    def middle(self, features):
        mixed = features + self.block(features)
        mixed = nn.functional.interpolate(mixed, scale_factor=2)
        tokens = self.linear(mixed.flatten(2).mT)
        return (tokens @ (tokens.mT @ tokens).softmax(-1)).mT.unflatten(2, mixed.shape[2:])


def constants(model):
    return {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}


def makers(model):
    return {name: node for node in model.graph.node for name in node.output}


def nodes(model, *operators):
    return [node for node in model.graph.node if node.op_type in operators]


def product_on(model, weight):
    """Name of the product that reads the weight whose name holds this text."""
    return next(node.name for node in nodes(model, "Conv") if weight in node.input[1])


def two_factor_products(model):
    return [node for node in nodes(model, "MatMul") if not set(node.input) & constants(model).keys()]


def agreement(one, other, image, folder):
    """Share of pixels to which both graphs give the same class."""
    masks = []
    for place, model in enumerate((one, other)):
        onnx.save(model, folder / f"{place}.onnx")
        masks.append(OnnxRuntime(folder / f"{place}.onnx", device="cpu", threads=1).run(image)["mask"])
    return float((masks[0] == masks[1]).mean())
