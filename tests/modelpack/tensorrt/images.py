"""Images for fake plans, and the answers that are right for them."""

import numpy as np

from tests.modelpack.tensorrt.fake_tensorrt import ANSWERS

ANY_SIZE = ((1, 4, 8), (8, 24, 32), (16, 32, 40))
"""A profile: batch, height and width, each (smallest, most usual, largest)."""
RTX_PLAN = "fp16-rtx-1.7.1.116-portable.plan"
TENSORRT_PLAN = "fp16-tensorrt-10.13.3.9-sm86.plan"


def images(n=2, height=24, width=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


def assert_answers(outputs, batch):
    for name, output in outputs.items():
        expected = ANSWERS[name](batch)
        assert output.dtype == expected.dtype
        np.testing.assert_array_equal(output, expected, err_msg=name)
