"""Pictures of a run: curves, confusion matrix, and sheets of images with their masks."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from distill.datasets.dataset import Sample
from distill.history import Row
from modelpack.atomic import write_bytes, write_with
from modelpack.labels import LabelSet

GRID = {"color": "#dddddd", "linewidth": 0.6}
TILE_WIDTH_PX = 320
GAP_PX = 6
CAPTION_PX = 26


def draw_curves(path: Path, rows: Sequence[Row]) -> None:
    """Two plots over optimiser steps: mIoU and pixel accuracy, weighted losses."""
    figure = Figure(figsize=(8, 6), layout="constrained")
    score, loss = figure.subplots(2, 1, sharex=True)
    steps = [row["step"] for row in rows]
    for key, label in (("miou", "mIoU"), ("pixel_accuracy", "pixel accuracy")):
        score.plot(steps, [100 * row[key] for row in rows], marker=".", label=label)
    score.set_ylabel("percent")
    for key in [key for key in rows[-1] if key.startswith("weighted/")]:
        loss.plot(
            steps,
            [row.get(key, float("nan")) for row in rows],
            marker=".",
            label=key.removeprefix("weighted/"),
        )
    loss.set_ylabel("weighted loss")
    loss.set_xlabel("optimiser step")
    for axes in (score, loss):
        axes.grid(**GRID)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    _save(figure, path)


def draw_confusion(path: Path, labels: LabelSet, matrix: NDArray[np.int64]) -> None:
    """Rows are true classes, each normalised to 100 %."""
    share = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = 2.5 + 0.45 * labels.num_classes
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
    ticks = range(labels.num_classes)
    axes.set_xticks(ticks, labels.names, rotation=60, ha="right", fontsize=8)
    axes.set_yticks(ticks, labels.names, fontsize=8)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if labels.num_classes <= 21:
        for (row, column), value in np.ndenumerate(share):
            if value >= 0.5:
                axes.text(
                    column,
                    row,
                    f"{value:.0f}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="white" if value > 60 else "black",
                )
    figure.colorbar(image, ax=axes, label="percent of the true class", shrink=0.7)
    _save(figure, path)


def draw_overlays(
    path: Path, labels: LabelSet, samples: Sequence[Sample], masks: Mapping[str, Sequence[NDArray[np.uint8]]]
) -> None:
    """One row per image: the image, its truth, then one column for each entry of `masks`."""
    columns = {"image": [sample.image_hwc for sample in samples]}
    columns["truth"] = [labels.overlay(sample.image_hwc, sample.mask_hw, 0.7) for sample in samples]
    for title, predictions in masks.items():
        columns[title] = [
            labels.overlay(s.image_hwc, mask, 0.7) for s, mask in zip(samples, predictions, strict=True)
        ]
    draw_sheet(path, columns)


def draw_sheet(path: Path, columns: Mapping[str, Sequence[NDArray[np.uint8]]]) -> None:
    """Title -> pictures (H, W, 3) RGB, one for each row; all columns have as many."""
    rows = [
        np.hstack([_padded(_tile(tile)) for tile in tiles]) for tiles in zip(*columns.values(), strict=True)
    ]
    header = np.hstack([_caption(title, TILE_WIDTH_PX + GAP_PX) for title in columns])
    sheet = np.vstack([header, *rows])
    write_bytes(path, cv2.imencode(".png", sheet[..., ::-1])[1].tobytes())


def _tile(image_hwc: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """As wide as a column; what is higher than wide is as high as that, in the middle."""
    scale = TILE_WIDTH_PX / max(image_hwc.shape[:2])
    height, width = (max(round(side * scale), 1) for side in image_hwc.shape[:2])
    flag = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    tile = np.asarray(cv2.resize(image_hwc, (width, height), interpolation=flag), np.uint8)
    left = (TILE_WIDTH_PX - width) // 2
    return np.pad(tile, ((0, 0), (left, TILE_WIDTH_PX - width - left), (0, 0)), constant_values=255)


def _padded(tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.pad(tile, ((0, GAP_PX), (0, GAP_PX), (0, 0)), constant_values=255)


def _caption(text: str, width: int) -> NDArray[np.uint8]:
    strip = np.full((CAPTION_PX, width, 3), 255, np.uint8)
    cv2.putText(strip, text, (2, CAPTION_PX - 9), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 40), 1, cv2.LINE_AA)
    return strip


def _save(figure: Figure, path: Path) -> None:
    write_with(path, lambda temporary: figure.savefig(temporary, dpi=110, format="png"))
