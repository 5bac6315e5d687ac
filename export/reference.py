"""The reference: the PyTorch student in float32, and its answers to the images of the gate."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from distill.datasets.dataset import SegDataset
from distill.networks.output import SegNetwork, normalise
from export.behaviour import OTHER_SIZES, ImageAndMask
from export.errors import ParityError
from export.mistakes import MISTAKES, mistaken_masks
from export.progress import track
from modelpack.errors import RuntimeUnavailableError
from modelpack.metrics import ConfusionMatrix
from modelpack.preprocess import Resizing, resize_mask

MISTAKE_IMAGES = 4
"""On how many images usual mistakes are tried: a dozen runs of the network each."""


@dataclass(frozen=True)
class Answer:
    """What the reference says to one image, at the model's input size."""

    index: int
    """Of the image in the split."""
    mask_hw: NDArray[np.uint8]
    is_confident_hw: NDArray[np.bool_]
    """False for low-margin pixels: the two largest logits are too close for rounding not to matter."""
    logits_chw: NDArray[np.float32] | None
    """Only for the images on which logits are compared."""
    mistaken: Mapping[str, NDArray[np.uint8]]
    """Usual mistake -> the mask that the reference gives with it; only for some of the images."""


class Reference:
    """Answers as training evaluated the network, by none of the code that made the graph."""

    def __init__(self, network: SegNetwork, device: str) -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise RuntimeUnavailableError(
                "export.device=cuda, but torch sees no CUDA device. Use export.device=cpu."
            )
        self.network = network.eval().float().to(device)
        self.device = device

    @torch.inference_mode()
    def logits(self, images_nhwc_u8: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, num_classes, H, W) at image size, in full float32 also where the GPU would round to TF32."""
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            pixels = torch.from_numpy(images_nhwc_u8).to(self.device)
            output = self.network(normalise(pixels, self.network.normalisation))
            full: NDArray[np.float32] = output.full_logits(images_nhwc_u8.shape[1:3]).cpu().numpy()
        return full

    def mask(self, image_hwc_u8: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W) class indices."""
        mask_hw: NDArray[np.uint8] = self.logits(image_hwc_u8[None])[0].argmax(0).astype(np.uint8)
        return mask_hw


@dataclass(frozen=True)
class RecordedAnswers:
    """The reference's answers to all images of the gate, on disk: all targets are held against the same."""

    folder: Path
    indices: tuple[int, ...]
    low_margin: float
    largest_logit: float
    """Largest absolute logit of the reference on the images that have logits."""
    first_size: tuple[int, int]
    """(height, width) at which the network saw the first image; with a fixed size, all images."""
    is_native: bool
    """Whether all images were seen at their own size."""
    confusion: ConfusionMatrix
    """Of the reference with the labels, at their size."""
    elsewhere: tuple[ImageAndMask, ...]
    """Answers at other sizes, for a graph that takes any."""

    def __iter__(self) -> Iterator[Answer]:
        for index in track(self.indices, "comparing"):
            with np.load(self.folder / f"{index}.npz") as file:
                mask_hw = file["mask"]
                confident = (
                    np.unpackbits(file["confident"], count=mask_hw.size).astype(bool).reshape(mask_hw.shape)
                )
                mistaken = {name: file[name] for name in MISTAKES if name in file}
                yield Answer(index, mask_hw, confident, file.get("logits"), mistaken)


def record_answers(
    reference: Reference,
    dataset: SegDataset,
    resizing: Resizing,
    folder: Path,
    *,
    count: int,
    logit_images: int,
    low_margin: float,
) -> RecordedAnswers:
    """Run the reference over the first `count` images; raises ParityError for logits that are not finite."""
    with_logits, with_mistakes = _spread(count, logit_images), _spread(count, MISTAKE_IMAGES)
    largest = 0.0
    confusion = ConfusionMatrix(reference.network.num_classes)
    sizes: list[tuple[int, int]] = []
    is_native = True
    for index in track(range(count), "reference"):
        sample = dataset[index]
        images = resizing.resize_image(sample.image_hwc)[None]
        is_native &= images.shape[1:] == sample.image_hwc.shape
        logits_chw = reference.logits(images)[0]
        if not np.isfinite(logits_chw).all():
            raise ParityError(
                "reference",
                f"the trained network gives NaN or infinite logits for {sample.name} of {dataset.split}. "
                "Nothing can be exported from it; train again with a lower learning rate or in fp32.",
            )
        sizes.append((logits_chw.shape[1], logits_chw.shape[2]))
        mask_hw = logits_chw.argmax(0).astype(np.uint8)
        confusion.update(resize_mask(mask_hw, *sample.mask_hw.shape), sample.mask_hw)
        arrays = {
            "mask": mask_hw,
            "confident": np.packbits(_margin(logits_chw) > low_margin),
        }
        if index in with_logits:
            arrays["logits"] = logits_chw
            largest = max(largest, float(np.abs(logits_chw).max()))
        if index in with_mistakes:
            arrays |= mistaken_masks(reference.network, images[0], reference.device)
        np.savez(folder / f"{index}.npz", **arrays)
    elsewhere = _elsewhere(reference, dataset[0].image_hwc) if resizing.height is None else ()
    return RecordedAnswers(
        folder, tuple(range(count)), low_margin, largest, sizes[0], is_native, confusion, elsewhere
    )


def _spread(count: int, wanted: int) -> set[int]:
    return set(np.linspace(0, count - 1, min(wanted, count)).astype(int).tolist())


def _elsewhere(reference: Reference, image_hwc: NDArray[np.uint8]) -> tuple[ImageAndMask, ...]:
    images = [Resizing(height=height, width=width).resize_image(image_hwc) for height, width in OTHER_SIZES]
    return tuple((image, reference.mask(image)) for image in images)


def _margin(logits_chw: NDArray[np.float32]) -> NDArray[np.float32]:
    """Largest minus second largest logit, (H, W); infinite with a single class."""
    if len(logits_chw) < 2:
        return np.full(logits_chw.shape[1:], np.inf, np.float32)
    two = np.partition(logits_chw, -2, axis=0)[-2:]
    margin: NDArray[np.float32] = two[1] - two[0]
    return margin
