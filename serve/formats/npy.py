"""The label map as numpy's own file: `numpy.load` and nothing else."""

import io

import numpy as np

from serve.formats.answer import Answer, Format


def encode_npy(answer: Answer) -> bytes:
    """uint8 (H, W) class indices, NPY version 1.0."""
    buffer = io.BytesIO()
    np.save(buffer, answer.mask_hw, allow_pickle=False)
    return buffer.getvalue()


NPY = Format("application/x-npy", "Label map as a numpy file, uint8 (H, W).", encode_npy)
