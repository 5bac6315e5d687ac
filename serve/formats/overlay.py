"""The mask's colours over the image: a picture to look at, hence JPEG."""

import numpy as np
import simplejpeg

from serve.formats.answer import Answer, Format
from serve.formats.legend import beside

QUALITY = 90


def encode_overlay(answer: Answer) -> bytes:
    mixed_hwc = answer.labels.overlay(answer.image_hwc, answer.mask_hw, answer.options.alpha)
    if answer.options.has_legend:
        mixed_hwc = beside(mixed_hwc, answer.present, answer.labels)
    encoded: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(mixed_hwc), quality=QUALITY, colorsubsampling="444"
    )
    return encoded


OVERLAY = Format(
    "image/jpeg", "The mask's colours over the image, JPEG; see `alpha` and `legend`.", encode_overlay
)
