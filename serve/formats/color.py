"""The mask in the colours of its classes."""

from modelpack.png import encode_png_rgb
from serve.formats.answer import ORIGIN, Answer, Format


def encode_color(answer: Answer) -> bytes:
    return encode_png_rgb(answer.labels.colourise(answer.mask_hw), text={ORIGIN: answer.origin})


COLOR = Format("image/png", "The mask in the colours of its classes, RGB PNG.", encode_color)
