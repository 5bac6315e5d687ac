"""Hold one artifact against the reference on real images, and its figures against the rule."""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from distill.datasets.dataset import SegDataset
from export.config import ParityRule
from export.errors import ParityError
from export.graph import MASK
from export.reference import Answer, RecordedAnswers
from modelpack.metrics import ConfusionMatrix
from modelpack.preprocess import Resizing, resize_mask
from modelpack.runtimes.runtime import Runtime
from modelpack.settings import StrictModel

_SMALLEST = float(np.finfo(np.float32).tiny)


class ArtifactParity(StrictModel):
    """How closely one artifact answers as the reference. Shares and mIoU are 0..1."""

    artifact: str
    images: int
    agreement: float
    """Share of all pixels with the reference's class."""
    agreement_confident: float | None
    """The same outside low-margin pixels; null where every pixel is low-margin."""
    low_margin_share: float
    miou_reference: float
    miou_artifact: float
    miou_difference_points: float
    """Artifact minus reference, in hundredths of mIoU."""
    logit_images: int
    max_logit_difference: float | None
    """Largest absolute difference; null where one of the two is not finite."""
    max_logit_error: float | None
    """The same as a share of the reference's largest absolute logit."""
    non_finite_logits: int
    """NaN or infinite logits of the artifact."""
    rule: ParityRule
    broken: tuple[str, ...]
    """One sentence for each part of the rule that does not hold; empty when the artifact passes."""


@dataclass(frozen=True, order=True)
class Disagreement:
    """One image and how much of it the artifact sees otherwise."""

    share: float
    index: int
    mask_hw: NDArray[np.uint8] = field(compare=False)
    reference_hw: NDArray[np.uint8] = field(compare=False)


@dataclass(frozen=True)
class Comparison:
    """All that one pass over the images gives."""

    parity: ArtifactParity
    confusion_reference: ConfusionMatrix
    confusion_artifact: ConfusionMatrix
    worst: tuple[Disagreement, ...]
    """Largest disagreement first; images without any are left out."""


def compare(
    artifact: str,
    runtime: Runtime,
    answers: RecordedAnswers,
    dataset: SegDataset,
    *,
    probe: Runtime,
    probe_logits: str,
    resizing: Resizing,
    rule: ParityRule,
    absent: Literal["skip", "zero"],
    worst_images: int,
) -> Comparison:
    """Run the artifact over the images of `answers`.

    Masks come from `runtime`, the file that ships; logits from `probe`, the same graph with
    `probe_logits` as one more output. `absent`: see `ConfusionMatrix.miou`.
    """
    num_classes = dataset.labels.num_classes
    pixels, logits = _PixelCounts(), _LogitErrors()
    matrices = ConfusionMatrix(num_classes), ConfusionMatrix(num_classes)
    worst: list[Disagreement] = []
    for answer in answers:
        sample = dataset[answer.index]
        images = resizing.resize_image(sample.image_hwc)[None]
        mask_hw = runtime.run(images)[MASK][0]
        _check_form(artifact, mask_hw, answer.mask_hw.shape, num_classes)
        share = pixels.add(mask_hw, answer)
        if answer.logits_chw is not None:
            logits.add(probe.run(images)[probe_logits][0], answer.logits_chw)
        for matrix, prediction in zip(matrices, (answer.mask_hw, mask_hw), strict=True):
            matrix.update(resize_mask(prediction, *sample.mask_hw.shape), sample.mask_hw)
        if share > 0:
            heapq.heappush(worst, Disagreement(share, answer.index, mask_hw, answer.mask_hw))
            if len(worst) > worst_images:
                heapq.heappop(worst)
    miou_reference, miou_artifact = (matrix.miou(absent) for matrix in matrices)
    figures: dict[str, Any] = {
        "agreement": pixels.same / pixels.total,
        "agreement_confident": pixels.same_confident / pixels.confident if pixels.confident else None,
        "miou_difference_points": 100 * (miou_artifact - miou_reference),
        "max_logit_error": logits.relative_to(answers.largest_logit),
        "non_finite_logits": logits.non_finite,
    }
    parity = ArtifactParity(
        artifact=artifact,
        images=len(answers.indices),
        low_margin_share=1 - pixels.confident / pixels.total,
        miou_reference=miou_reference,
        miou_artifact=miou_artifact,
        logit_images=logits.images,
        max_logit_difference=logits.largest,
        rule=rule,
        broken=tuple(_broken(figures, rule)),
        **figures,
    )
    return Comparison(parity, *matrices, tuple(sorted(worst, reverse=True)))


def _broken(figures: Mapping[str, Any], rule: ParityRule) -> Iterator[str]:
    agreement, confident = figures["agreement"], figures["agreement_confident"]
    points, error = figures["miou_difference_points"], figures["max_logit_error"]
    if figures["non_finite_logits"]:
        yield f"{figures['non_finite_logits']} logits are NaN or infinite"
    if agreement < rule.min_agreement:
        yield f"mask agreement {agreement:.5f} is below {rule.min_agreement}"
    if confident is not None and confident < rule.min_agreement_confident:
        yield f"agreement outside low-margin pixels {confident:.5f} is below {rule.min_agreement_confident}"
    if not abs(points) <= rule.max_miou_difference_points:
        yield f"mIoU differs by {points:+.2f} points, allowed are {rule.max_miou_difference_points}"
    if error is not None and error > rule.max_logit_error:
        yield f"a logit is off by {error:.2e} of the largest, allowed is {rule.max_logit_error:.0e}"


def _check_form(artifact: str, mask_hw: NDArray[Any], shape: tuple[int, ...], num_classes: int) -> None:
    if mask_hw.shape != shape or mask_hw.dtype != np.uint8 or mask_hw.max() >= num_classes:
        raise ParityError(
            artifact,
            f"{artifact} is refused, its mask is {mask_hw.dtype} {mask_hw.shape} up to class "
            f"{mask_hw.max()}; due is uint8 {shape} up to {num_classes - 1}.",
        )


@dataclass
class _PixelCounts:
    total: int = 0
    same: int = 0
    confident: int = 0
    same_confident: int = 0

    def add(self, mask_hw: NDArray[np.uint8], answer: Answer) -> float:
        """The share of this image's pixels that differ."""
        same = mask_hw == answer.mask_hw
        self.total += same.size
        self.same += int(same.sum())
        self.confident += int(answer.is_confident_hw.sum())
        self.same_confident += int((same & answer.is_confident_hw).sum())
        return 1 - float(same.mean())


@dataclass
class _LogitErrors:
    images: int = 0
    largest: float | None = None
    non_finite: int = 0

    def add(self, logits_chw: NDArray[Any], reference_chw: NDArray[np.float32]) -> None:
        self.images += 1
        finite = np.isfinite(logits_chw)
        self.non_finite += int(finite.size - finite.sum())
        if finite.all():
            difference = float(np.abs(logits_chw.astype(np.float32) - reference_chw).max())
            self.largest = max(self.largest or 0.0, difference)

    def relative_to(self, largest_logit: float) -> float | None:
        if self.largest is None:
            return None
        return self.largest / max(largest_logit, _SMALLEST)
