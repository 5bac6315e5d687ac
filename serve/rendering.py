"""From what the graph computed to the bytes of one answer."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from modelpack.labels import IGNORE
from modelpack.preprocess import resize_mask
from modelpack.replay import MASK, pad_to_multiple
from serve.errors import MissingOutputError
from serve.formats import Answer, Format, Options
from serve.formats.options import chosen_classes
from serve.model import CONFIDENCE, ServedModel

Maps = dict[str, NDArray[np.uint8]]
"""(H, W) at the size of the model's input: `mask`, and `confidence` where it is used."""


class Rendering:
    """A format with its options, for one model. Built, it is known to be possible."""

    def __init__(self, model: ServedModel, response_format: Format, options: Options) -> None:
        """Raises UnknownNameError for a class, MissingOutputError where the format needs what is missing."""
        self.format = response_format
        self._model = model
        self._options = options
        self._classes = chosen_classes(options.classes, model.manifest.labels)
        has_confidence = any(spec.name == CONFIDENCE for spec in model.manifest.outputs)
        if response_format.needs_confidence and not has_confidence:
            raise MissingOutputError(CONFIDENCE, model.title)
        self.uses_confidence = has_confidence and response_format.uses_confidence
        """The mask alone is not enough."""

    def padded(self, input_hwc: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The model's input as a batch of one, (1, H, W, 3)."""
        return pad_to_multiple(input_hwc, self._model.manifest)[None]

    def maps(self, outputs: dict[str, NDArray[Any]], input_hwc: NDArray[np.uint8]) -> Maps:
        """What this answer needs of the graph's outputs for `padded(input_hwc)`, without the padding."""
        height, width = input_hwc.shape[:2]
        names = (MASK, CONFIDENCE) if self.uses_confidence else (MASK,)
        return {name: np.ascontiguousarray(outputs[name][0, :height, :width]) for name in names}

    def encode(self, image_hwc: NDArray[np.uint8], input_hwc: NDArray[np.uint8], maps: Maps) -> bytes:
        """The answer's body. `image_hwc`: as it was sent; `input_hwc`: as the model took it."""
        if self._options.at_model_size:
            image_hwc = input_hwc
        height, width = image_hwc.shape[:2]
        sized = {name: resize_mask(map_hw, height, width) for name, map_hw in maps.items()}
        mask_hw, confidence_hw = sized[MASK], sized.get(CONFIDENCE)
        model = self._model
        if self._options.classes:
            shown = np.full(256, IGNORE, np.uint8)
            shown[list(self._classes)] = self._classes
            mask_hw = np.asarray(cv2.LUT(mask_hw, shown), np.uint8)
            if confidence_hw is not None:
                confidence_hw = confidence_hw * (mask_hw != IGNORE)
        return self.format.encode(
            Answer(
                image_hwc,
                mask_hw,
                confidence_hw,
                model.manifest.labels,
                self._classes,
                self._options,
                model.title,
                model.origin,
            )
        )
