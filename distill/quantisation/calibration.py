"""The first scales of inputs: from what training images make of them in the trained float network."""

import logging
import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from distill.datasets.dataset import SegDataset
from distill.networks.output import SegNetwork, normalise
from distill.quantisation.calibrators import CALIBRATORS
from distill.quantisation.fake_quantise import HIGHEST
from distill.quantisation.histogram import Histogram
from distill.quantisation.layers import ActivationQuantiser
from modelpack.preprocess import Resizing
from modelpack.tables import lookup

log = logging.getLogger(__name__)

_RANGE_OF_ZEROS = 1.0
"""For a tensor that was zero everywhere."""


def activation_quantisers(network: SegNetwork) -> dict[str, ActivationQuantiser]:
    """All of the network's, by name; none for a float network."""
    return {
        name: module for name, module in network.named_modules() if isinstance(module, ActivationQuantiser)
    }


@torch.no_grad()
def calibrate(network: SegNetwork, images: Iterable[NDArray[np.uint8]], calibrator: str) -> None:
    """Set every input's scale from the values that pass, weights being quantised and inputs not.

    images: each (1, H, W, 3) RGB, as the deployed network will see them. calibrator: a name of `CALIBRATORS`.
    """
    choose = lookup(CALIBRATORS, "calibrator", calibrator)
    quantisers = activation_quantisers(network)
    device = next(network.parameters()).device
    was_training = network.training
    for quantiser in quantisers.values():
        quantiser.histogram = Histogram()
    network.eval()
    count = 0
    for image in images:
        network(normalise(torch.from_numpy(image).to(device), network.normalisation))
        count += 1
    network.train(was_training)
    for quantiser in quantisers.values():
        assert quantiser.histogram is not None
        largest = choose(quantiser.histogram) or _RANGE_OF_ZEROS
        quantiser.log_scale.fill_(math.log(largest / HIGHEST))
        quantiser.histogram = None
    log.info("calibrated %d scales on %d training images (%s)", len(quantisers), count, calibrator)


def calibration_images(
    dataset: SegDataset, count: int, size: tuple[int, int] | None
) -> Iterator[NDArray[np.uint8]]:
    """`count` images spread over the split, (1, H, W, 3), at `size` (height, width); None: at their own."""
    resizing = Resizing(height=size[0], width=size[1]) if size else Resizing()
    for index in sorted(set(np.linspace(0, len(dataset) - 1, count).astype(int).tolist())):
        yield resizing.resize_image(dataset[index].image_hwc)[None]
