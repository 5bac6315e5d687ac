"""Which layers suffer from low precision: each of them alone in it, all others in float32, on real images.

Alone, because the float32 graph flips no pixel: what is counted is this layer's doing. The other way round
(all but one in low precision) asks for the small difference of two large counts: noise, on few images. What
layers do to each other is left to the search (`fewest.py`), which measures whole candidates.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from export.artifact_runtime import open_artifact
from export.graph import MASK
from export.layers import Layer, nodes_of
from export.progress import track
from export.targets.target import BuildContext, Target
from modelpack.settings import StrictModel


class LayerSensitivity(StrictModel):
    """One layer and what its low precision does to the masks."""

    layer: str
    """Name of the convolution or matrix product in the float32 graph."""
    module: str
    """What it is in the network."""
    op_type: str
    flips: float
    """Share of all pixels whose class is not the float32 graph's; 0..1."""


def measure_sensitivity(
    name: str,
    target: Target,
    context: BuildContext,
    layers: Sequence[Layer],
    *,
    images: int,
    device: Literal["cpu", "cuda"],
) -> tuple[LayerSensitivity, ...]:
    """Most sensitive first, equal ones in the order of the graph.

    One build and `images` runs for each layer, on images spread over those of the calibration, so that the
    images of the gate have no say in the order. The same images, graph and machine give the same figures.
    """
    chosen = _spread(context.calibration, images)
    everything = nodes_of(layers)
    flips = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "graph.onnx")
        onnx.save(context.model, path)
        expected = _masks(path, chosen, device)
        pixels = sum(mask.size for mask in expected)
        for place in track(range(len(layers)), f"sensitivity of {name}"):
            layer = layers[place]
            target.build(replace(context, keep_float32=everything - layer.nodes), path)
            found = _masks(path, chosen, device)
            differing = sum(int((a != b).sum()) for a, b in zip(expected, found, strict=True))
            flips[layer] = differing / pixels
    ordered = sorted(layers, key=lambda layer: -flips[layer])
    return tuple(
        LayerSensitivity(layer=layer.name, module=layer.module, op_type=layer.op_type, flips=flips[layer])
        for layer in ordered
    )


def _spread(images: Sequence[NDArray[np.uint8]], count: int) -> list[NDArray[np.uint8]]:
    places = sorted(set(np.linspace(0, len(images) - 1, count).astype(int).tolist()))
    return [images[place] for place in places]


def _masks(
    path: Path, images: Sequence[NDArray[np.uint8]], device: Literal["cpu", "cuda"]
) -> list[NDArray[np.uint8]]:
    with open_artifact(path, "onnx", device) as runtime:
        return [runtime.run(image)[MASK] for image in images]
