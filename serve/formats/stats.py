"""How much of the image each class covers."""

import json

import numpy as np

from serve.formats.answer import Answer, Format


def encode_stats(answer: Answer) -> bytes:
    """`share` is the part of all pixels, 0 to 1; every class is listed, in the order of its index."""
    height, width = answer.mask_hw.shape
    pixels = np.bincount(answer.mask_hw.ravel(), minlength=256)
    labels = answer.labels
    classes = [
        {
            "index": index,
            "name": name,
            "color": colour,
            "pixels": int(pixels[index]),
            "share": float(pixels[index] / (height * width)),
        }
        for index, (name, colour) in enumerate(zip(labels.names, labels.palette, strict=True))
    ]
    said = {"model": answer.model, "origin": answer.origin}
    return json.dumps({**said, "width": width, "height": height, "classes": classes}).encode()


STATS = Format("application/json", "Pixels and share of each class, JSON.", encode_stats)
