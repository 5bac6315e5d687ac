"""What `InferenceClient.image_segmentation` of huggingface_hub reads.

Source: https://huggingface.co/docs/inference-providers/tasks/image-segmentation. A list with an object for
each class present: `label`, `score`, and `mask`, a base64 PNG that is 255 where the class is and 0 elsewhere.
"""

import json
from base64 import b64encode

from modelpack.png import encode_png_labels
from serve.formats.answer import ORIGIN, Answer, Format


def encode_hf(answer: Answer) -> bytes:
    """`score` is the mean confidence of the class, null where the model gives none."""
    segments = []
    for index in answer.present:
        png = encode_png_labels(answer.region(index), text={ORIGIN: answer.origin})
        label = answer.labels.names[index]
        segments.append(
            {"label": label, "score": answer.mean_confidence(index), "mask": b64encode(png).decode()}
        )
    return json.dumps(segments).encode()


HF = Format(
    "application/json",
    "What huggingface_hub's `InferenceClient.image_segmentation` reads: label, score, base64 PNG, JSON.",
    encode_hf,
    uses_confidence=True,
)
