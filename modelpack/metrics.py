"""Dataset-level accuracy from one confusion matrix of exact counts."""

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from modelpack.errors import ShapeError
from modelpack.labels import IGNORE, LabelSet


class ConfusionMatrix:
    """Pixel counts over a whole split: rows are the target's classes, columns the prediction's.

    All figures are fractions in 0..1. They are computed once from the summed counts, so neither the order nor
    the batching of the images matters.
    """

    def __init__(self, num_classes: int) -> None:
        if not 1 <= num_classes <= IGNORE:
            raise ShapeError(f"a confusion matrix has 1 to {IGNORE} classes, got {num_classes}.")
        self.num_classes = num_classes
        self.counts: NDArray[np.int64] = np.zeros((num_classes, num_classes), np.int64)
        """(target, prediction), int64."""

    def update(self, prediction: NDArray[Any], target: NDArray[Any], ignore: int = IGNORE) -> None:
        """Count two integer arrays of class indices of equal shape, (H, W) or (N, H, W).

        Pixels whose target is `ignore` are left out, whatever was predicted there. Raises ShapeError for
        unequal shapes, for arrays that are not integers and for a class that the matrix does not have.
        """
        if prediction.shape != target.shape:
            raise ShapeError(f"prediction is {prediction.shape}, target {target.shape}; they must be equal.")
        if ignore != IGNORE:
            target = _with_ignored_as_255(target, ignore)
        rows, columns = _as_bytes(target, "target"), _as_bytes(prediction, "prediction")
        pairs = rows.astype(np.uint16) << 8 | columns
        counts = np.bincount(pairs.ravel(), minlength=1 << 16).reshape(256, 256)
        counts[IGNORE] = 0
        self._check(counts.sum(1), "target")
        self._check(counts.sum(0), "prediction")
        self.counts += counts[: self.num_classes, : self.num_classes]

    def merge(self, other: Self) -> None:
        """Add the counts of another matrix, as of another process."""
        if other.num_classes != self.num_classes:
            raise ShapeError(f"cannot merge {other.num_classes} classes into {self.num_classes}.")
        self.counts += other.counts

    def iou_per_class(self) -> NDArray[np.float64]:
        """Intersection over union, (num_classes,); NaN for a class in neither target nor prediction."""
        union = self.counts.sum(0) + self.counts.sum(1) - self.counts.diagonal()
        return _ratio(self.counts.diagonal(), union)

    def miou(self, absent: Literal["skip", "zero"] = "skip") -> float:
        """Mean of `iou_per_class`; a class found nowhere is left out (`skip`) or 0 (`zero`, published).

        NaN where nothing was counted.
        """
        iou = self.iou_per_class()
        if np.isnan(iou).all():
            return float("nan")
        return float(np.nanmean(iou) if absent == "skip" else np.nan_to_num(iou).mean())

    def pixel_accuracy(self) -> float:
        """Share of counted pixels that are right; NaN where nothing was counted."""
        return float(_ratio(self.counts.diagonal().sum(), self.counts.sum()))

    def to_dict(self, labels: LabelSet) -> dict[str, Any]:
        """Everything a result file needs, as plain JSON types; null for what is not defined."""
        if labels.num_classes != self.num_classes:
            raise ShapeError(f"{labels.num_classes} labels do not name {self.num_classes} classes.")
        iou = zip(labels.names, self.iou_per_class().tolist(), strict=True)
        return {
            "miou": _json_number(self.miou()),
            "miou_absent_as_zero": _json_number(self.miou("zero")),
            "pixel_accuracy": _json_number(self.pixel_accuracy()),
            "iou_per_class": {name: _json_number(value) for name, value in iou},
            "pixels": int(self.counts.sum()),
            "confusion": self.counts.tolist(),
        }

    def _check(self, pixels_per_class: NDArray[np.int64], role: str) -> None:
        if not pixels_per_class[self.num_classes :].any():
            return
        wrong = self.num_classes + int(pixels_per_class[self.num_classes :].argmax())
        raise ShapeError(
            f"{role} holds class {wrong}, and there are {self.num_classes} (0 to {self.num_classes - 1}). "
            f"Pixels without a label are {IGNORE} in the target."
        )


def _with_ignored_as_255(target: NDArray[Any], ignore: int) -> NDArray[Any]:
    if (target == IGNORE).any():
        raise ShapeError(
            f"target holds {IGNORE}, which is no class and not the ignored value {ignore} either."
        )
    return np.where(target == ignore, IGNORE, target)


def _as_bytes(values: NDArray[Any], role: str) -> NDArray[np.uint8]:
    if not np.issubdtype(values.dtype, np.integer):
        raise ShapeError(f"{role} must hold class indices (integers), got {values.dtype}.")
    if values.dtype != np.uint8 and values.size and not 0 <= values.min() <= values.max() <= IGNORE:
        raise ShapeError(f"{role} holds {values.min()} to {values.max()}; class indices are 0 to {IGNORE}.")
    return values.astype(np.uint8, copy=False)


def _ratio(part: Any, whole: Any) -> NDArray[np.float64]:
    """Part / whole in float64, NaN for 0 / 0."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.true_divide(part, whole), np.float64)


def _json_number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
