"""Usual mistakes of conversions, made on purpose with the reference: the masks that each would give."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from distill.networks.output import SegNetwork, SegOutput, normalise
from modelpack.preprocess import Normalisation

MEAN_LEVELS = (8, 24)
"""Of 255: by how much a mistaken mean is off."""
DEVIATION_FACTORS = (1.1, 1.5)
"""By how much a mistaken deviation is off."""

Mask = NDArray[np.uint8]


def _in_other_order(pixels: Tensor, _: Normalisation) -> Tensor:
    return pixels.flip(-1)


def _in_other_order_behind(pixels: Tensor, known: Normalisation) -> Tensor:
    mean, deviation = (
        torch.tensor(values, device=pixels.device) for values in (known.mean_rgb, known.std_rgb)
    )
    return ((pixels - mean) / deviation).flip(-1) * deviation + mean


def _brighter(pixels: Tensor, _: Normalisation, *, levels: float) -> Tensor:
    return pixels + levels


def _of_contrast(pixels: Tensor, known: Normalisation, *, factor: float) -> Tensor:
    mean = torch.tensor(known.mean_rgb, device=pixels.device)
    return (pixels - mean) * factor + mean


def _of_unit_range(pixels: Tensor, _: Normalisation) -> Tensor:
    return pixels / 255


def _by_nearest(logits: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(logits, size)


def _by_half_pixel_centres(logits: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(logits, size, mode="bilinear", align_corners=False)


def _from_the_top_left(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, output pixel i read at i * (input size / output size)."""
    for axis, length in zip((2, 3), size, strict=True):
        have = logits.shape[axis]
        place = torch.arange(length, device=logits.device) * (have / length)
        low = place.floor().long().clamp(max=have - 1)
        shape = [1, 1, 1, 1]
        shape[axis] = length
        part = (place - low).view(shape)
        high = (low + 1).clamp(max=have - 1)
        logits = logits.index_select(axis, low) * (1 - part) + logits.index_select(axis, high) * part
    return logits


def _one_class_up(mask: Mask, classes: int) -> Mask:
    return np.asarray((mask.astype(np.int16) + 1) % classes, np.uint8)


def _one_class_down(mask: Mask, classes: int) -> Mask:
    return np.asarray((mask.astype(np.int16) - 1) % classes, np.uint8)


def _mirrored(mask: Mask, _: int) -> Mask:
    return mask[:, ::-1]


def _upside_down(mask: Mask, _: int) -> Mask:
    return mask[::-1]


def _rows_for_columns(mask: Mask, _: int) -> Mask:
    return mask.T.reshape(mask.shape)


PIXELS: dict[str, Callable[[Tensor, Normalisation], Tensor]] = {
    "on pixels in the other channel order (BGR for RGB)": _in_other_order,
    "on normalised pixels in the other channel order (BGR for RGB)": _in_other_order_behind,
    **{f"with a mean {size} levels too low": partial(_brighter, levels=size) for size in MEAN_LEVELS},
    **{f"with a mean {size} levels too high": partial(_brighter, levels=-size) for size in MEAN_LEVELS},
    **{
        f"with deviations {size} times too small": partial(_of_contrast, factor=size)
        for size in DEVIATION_FACTORS
    },
    **{
        f"with deviations {size} times too large": partial(_of_contrast, factor=1 / size)
        for size in DEVIATION_FACTORS
    },
    "on pixels of 0-1 in place of 0-255": _of_unit_range,
}
"""What may be done to the pixels, (1, H, W, 3) RGB float32, 0-255."""

ENLARGING: dict[str, Callable[[Tensor, tuple[int, int]], Tensor]] = {
    "with logits enlarged by nearest neighbour": _by_nearest,
    "with logits enlarged by half-pixel centres (align_corners=False)": _by_half_pixel_centres,
    "with logits enlarged from the top left (asymmetric)": _from_the_top_left,
}
"""How logits may be brought to the image's size; right is bilinear with aligned corners."""

MASKS: dict[str, Callable[[Mask, int], Mask]] = {
    "with every class one too high": _one_class_up,
    "with every class one too low": _one_class_down,
    "with its mask mirrored": _mirrored,
    "with its mask upside down": _upside_down,
    "with rows of its mask for columns": _rows_for_columns,
}
"""What may be done to the mask, (H, W); the number is that of the classes."""

MISTAKES = (*PIXELS, *ENLARGING, *MASKS)
"""All of them, as the end of "it answers as the network does ..."."""


@torch.inference_mode()
def mistaken_masks(network: SegNetwork, image_hwc_u8: NDArray[np.uint8], device: str) -> dict[str, Mask]:
    """Mistake -> the mask that the network gives to one image with it, (H, W)."""
    size = image_hwc_u8.shape[0], image_hwc_u8.shape[1]
    pixels = torch.from_numpy(image_hwc_u8[None]).to(device).float()

    def forward(pixels: Tensor) -> SegOutput:
        output: SegOutput = network(normalise(pixels, network.normalisation))
        return output

    found = {}
    for name, spoil in PIXELS.items():
        found[name] = _mask(forward(spoil(pixels, network.normalisation)).full_logits(size))
    right = forward(pixels)
    for name, enlarge in ENLARGING.items():
        found[name] = _mask(enlarge(right.logits, right.padded_size)[..., : size[0], : size[1]])
    mask = _mask(right.full_logits(size))
    for name, rearrange in MASKS.items():
        found[name] = np.ascontiguousarray(rearrange(mask, network.num_classes))
    return found


def _mask(logits: Tensor) -> Mask:
    mask_hw: Mask = logits[0].argmax(0).to(torch.uint8).cpu().numpy()
    return mask_hw
