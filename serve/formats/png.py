"""The label map: an 8-bit grey PNG whose pixel values are the class indices."""

from modelpack.png import encode_png_labels
from serve.formats.answer import ORIGIN, Answer, Format


def encode_png(answer: Answer) -> bytes:
    return encode_png_labels(answer.mask_hw, text={ORIGIN: answer.origin})


PNG = Format("image/png", "Label map: 8-bit grey PNG, pixel value = class index.", encode_png)
