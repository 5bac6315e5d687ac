"""How much of the image each class covers, and how sure the model is of it."""

import json

from serve.formats.answer import Answer, Format


def encode_stats(answer: Answer) -> bytes:
    """`share` is the part of all pixels, 0 to 1; every class asked for is listed, in the order of its index.

    `confidence` is the mean over the pixels of the class, 0 to 1: null for a class without pixels, and for
    models without that output.
    """
    pixels = answer.pixels
    labels = answer.labels
    classes = [
        {
            "index": index,
            "name": labels.names[index],
            "color": labels.palette[index],
            "pixels": int(pixels[index]),
            "share": float(pixels[index] / answer.mask_hw.size),
            "confidence": answer.mean_confidence(index),
        }
        for index in answer.classes
    ]
    return json.dumps({**answer.header(), "classes": classes}).encode()


STATS = Format(
    "application/json",
    "Pixels, share and confidence of each class, JSON.",
    encode_stats,
    uses_confidence=True,
)
