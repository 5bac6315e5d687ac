"""The figures of one artifact in the making, image after image."""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from export.class_flips import largest_flips
from export.edge_shift import EdgeShift
from export.errors import ParityError
from export.graph import CONFIDENCE, LOGITS, MASK
from export.logit_errors import LogitErrors, probability_of_the_largest
from export.mask_counts import MaskCounts
from export.reference import Answer
from export.sidings import Sidings
from modelpack.labels import LabelSet
from modelpack.metrics import ConfusionMatrix
from modelpack.preprocess import resize_mask

Outputs = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, order=True)
class Disagreement:
    """One image and how much of it the artifact sees otherwise."""

    share: float
    index: int
    mask_hw: NDArray[np.uint8] = field(compare=False)
    reference_hw: NDArray[np.uint8] = field(compare=False)


class Tally:
    """Counts over all images of one artifact."""

    def __init__(self, artifact: str, labels: LabelSet, worst_images: int) -> None:
        """Keeps the `worst_images` images that differ most."""
        self.artifact, self.labels, self.worst_images = artifact, labels, worst_images
        self.images = 0
        self.pixels, self.edges = MaskCounts(), EdgeShift(labels.num_classes)
        self.logits, self.sidings = LogitErrors(), Sidings()
        self.confidence_errors: list[float] = []
        self.worst: list[Disagreement] = []
        classes = labels.num_classes
        self.confusion_reference = ConfusionMatrix(classes)
        self.confusion_artifact = ConfusionMatrix(classes)
        self.flips = ConfusionMatrix(classes)
        """(class of the reference, class of the artifact)."""

    def add(
        self,
        answer: Answer,
        truth_hw: NDArray[np.uint8],
        outputs: Outputs,
        logits_chw: NDArray[Any] | None,
    ) -> None:
        """One image: the labels, all outputs of the artifact, and its logits where they were asked for.

        Raises ParityError for outputs of another form than the graph promises.
        """
        self._check_form(outputs, answer.mask_hw.shape)
        mask_hw = outputs[MASK][0]
        share = self.pixels.add(mask_hw, answer.mask_hw, answer.is_confident_hw)
        self.images += 1
        self.edges.add(mask_hw, answer.mask_hw)
        self.flips.update(mask_hw, answer.mask_hw)
        self.sidings.add(mask_hw, answer.mask_hw, answer.mistaken)
        matrices = (self.confusion_reference, answer.mask_hw), (self.confusion_artifact, mask_hw)
        for matrix, prediction in matrices:
            matrix.update(resize_mask(prediction, *truth_hw.shape), truth_hw)
        if answer.logits_chw is not None:
            if logits_chw is not None:
                self._check_logits(logits_chw.shape, answer.logits_chw.shape)
                self.logits.add(logits_chw, answer.logits_chw)
            if CONFIDENCE in outputs:
                due = probability_of_the_largest(answer.logits_chw)
                self.confidence_errors.append(float(np.abs(outputs[CONFIDENCE][0] / 255 - due).mean()))
        if share > 0:
            heapq.heappush(self.worst, Disagreement(share, answer.index, mask_hw, answer.mask_hw))
            if len(self.worst) > self.worst_images:
                heapq.heappop(self.worst)

    def figures(self, largest_logit: float, absent: Literal["skip", "zero"]) -> dict[str, Any]:
        """All fields of `Figures` but the behaviour. `absent`: see `ConfusionMatrix.miou`.

        Means are over the classes that labels or reference have: an artifact that sees one pixel of another
        would else lose as much as if it had lost a class.
        """
        iou_reference = self.confusion_reference.iou_per_class()
        iou_artifact = np.where(np.isnan(iou_reference), np.nan, self.confusion_artifact.iou_per_class())
        miou_reference, miou_artifact = (_mean(iou, absent) for iou in (iou_reference, iou_artifact))
        differences = 100 * (iou_artifact - iou_reference)
        return {
            "images": self.images,
            "agreement": self.pixels.agreement,
            "agreement_confident": self.pixels.agreement_confident,
            "low_margin_share": self.pixels.low_margin_share,
            "agreement_band": self.pixels.agreement_band,
            "agreement_interior": self.pixels.agreement_interior,
            "band_share": self.pixels.band_share,
            "edge_shift": self.edges.fit(),
            "miou_reference": miou_reference,
            "miou_artifact": miou_artifact,
            "miou_difference_points": 100 * (miou_artifact - miou_reference),
            "iou_difference_points": {
                name: None if np.isnan(points) else float(points)
                for name, points in zip(self.labels.names, differences, strict=True)
            },
            "class_flips": largest_flips(self.flips, self.labels),
            "flip_matrix": self.flips.counts.tolist(),
            "logit_images": self.logits.images,
            "max_logit_difference": self.logits.largest,
            "max_logit_error": self.logits.largest_share(largest_logit),
            "logit_noise": self.logits.noise,
            "non_finite_logits": self.logits.non_finite,
            "confidence_error": max(self.confidence_errors, default=None),
            "sidings": self.sidings.shares(),
        }

    def _check_logits(self, found: tuple[int, ...], due: tuple[int, ...]) -> None:
        if found != due:
            raise ParityError(
                self.artifact, f"{self.artifact} is refused, its logits are {found}; due are {due}."
            )

    def _check_form(self, outputs: Outputs, shape_hw: tuple[int, ...]) -> None:
        classes = self.labels.num_classes
        forms = {
            MASK: (np.uint8, (1, *shape_hw)),
            CONFIDENCE: (np.uint8, (1, *shape_hw)),
            LOGITS: (np.float32, (1, classes, *shape_hw)),
        }
        for name, (dtype, shape) in forms.items():
            found = outputs.get(name)
            if found is None and name != MASK:
                continue
            if found is None or found.dtype != dtype or found.shape != shape:
                what = "missing" if found is None else f"{found.dtype} {found.shape}"
                raise ParityError(
                    self.artifact,
                    f"{self.artifact} is refused, its output {name} is {what}; "
                    f"due is {np.dtype(dtype)} {shape}.",
                )
        if (highest := int(outputs[MASK].max())) >= classes:
            raise ParityError(
                self.artifact,
                f"{self.artifact} is refused, its mask goes up to class {highest}; "
                f"due is up to {classes - 1}.",
            )


def _mean(iou: NDArray[np.float64], absent: Literal["skip", "zero"]) -> float:
    if np.isnan(iou).all():
        return float("nan")
    return float(np.nanmean(iou) if absent == "skip" else np.nan_to_num(iou).mean())
