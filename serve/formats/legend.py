"""Names of classes beside a picture."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from modelpack.labels import LabelSet

ROW_PX = 20
_MARGIN_PX = 4
_FONT, _FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.45
_PAPER, _INK = (255, 255, 255), (0, 0, 0)


def beside(image_hwc: NDArray[np.uint8], classes: Sequence[int], labels: LabelSet) -> NDArray[np.uint8]:
    """(H, W, 3) RGB with a white column to its right: colour and name of each class, one to a row of ROW_PX.

    A picture lower than its legend gets white below. The font is ASCII: other letters show as `?`.
    """
    names = [labels.names[index].encode("ascii", "replace").decode() for index in classes]
    text_widths = [cv2.getTextSize(name, _FONT, _FONT_SCALE, 1)[0][0] for name in names]
    height, width = image_hwc.shape[:2]
    left = width + ROW_PX + _MARGIN_PX
    size = max(height, ROW_PX * len(names)), left + max(text_widths, default=0) + _MARGIN_PX
    canvas = np.full((*size, 3), _PAPER, np.uint8)
    canvas[:height, :width] = image_hwc
    for row, (index, name) in enumerate(zip(classes, names, strict=True)):
        top = row * ROW_PX
        swatch = slice(top + _MARGIN_PX, top + ROW_PX - _MARGIN_PX), slice(width + _MARGIN_PX, width + ROW_PX)
        canvas[swatch] = labels.palette[index]
        baseline = top + ROW_PX - _MARGIN_PX - 2
        cv2.putText(canvas, name, (left, baseline), _FONT, _FONT_SCALE, _INK, 1, cv2.LINE_AA)
    return canvas
