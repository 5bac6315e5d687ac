"""How sure the model is of each pixel: an 8-bit grey PNG."""

from modelpack.png import encode_png_labels
from serve.formats.answer import ORIGIN, Answer, Format


def encode_confidence(answer: Answer) -> bytes:
    """0 to 255 for probabilities 0 to 1; 0 where the class is not asked for."""
    assert answer.confidence_hw is not None
    return encode_png_labels(answer.confidence_hw, text={ORIGIN: answer.origin})


CONFIDENCE = Format(
    "image/png",
    "Probability of the chosen class, 8-bit grey PNG, 255 = 1; for packages that have this output.",
    encode_confidence,
    uses_confidence=True,
    needs_confidence=True,
)
