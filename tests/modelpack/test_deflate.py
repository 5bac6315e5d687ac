"""Both ways to deflate give a stream that zlib reads."""

import zlib

import numpy as np
import pytest

from modelpack import deflate

ROWS = {
    "zeros": bytes(10_000),
    "noise": np.random.default_rng(0).integers(0, 256, 10_000, np.uint8).tobytes(),
    "one byte": b"x",
}


@pytest.mark.parametrize("has_isal", [True, False])
@pytest.mark.parametrize("rows", ROWS)
def test_a_stream_holds_the_rows(rows, has_isal, monkeypatch):
    if has_isal:
        pytest.importorskip("isal")
    monkeypatch.setattr(deflate, "_HAS_ISAL", has_isal)
    assert zlib.decompress(deflate.deflate(ROWS[rows])) == ROWS[rows]
