"""Pictures that are small in bytes and in pixels, and would take a decoder minutes."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from modelpack.bombs import MOST_INFLATED_BYTES, MOST_SCANS
from modelpack.errors import CorruptImageError, UnsupportedImageError
from modelpack.pixels import decode_image
from tests.modelpack.images import encode, endless_scans, picture, png_with, zeros_deflated

MAX_PIXELS = 4_000_000


@pytest.fixture
def no_decoder(monkeypatch):
    for decoder in ("cv2.imdecode", "simplejpeg.decode_jpeg"):
        monkeypatch.setattr(f"modelpack.pixels.{decoder}", lambda *_, **__: pytest.fail("decoded a bomb"))


@pytest.mark.parametrize("chunk_bytes", [8192, 1 << 30], ids=["many chunks", "one chunk"])
def test_pixel_data_that_go_on_after_the_last_pixel_are_refused(no_decoder, chunk_bytes):
    data = png_with(zeros_deflated(2 * MOST_INFLATED_BYTES), chunk_bytes=chunk_bytes)
    with pytest.raises(CorruptImageError, match="more pixel data than"):
        decode_image(data, max_pixels=MAX_PIXELS)


@pytest.mark.parametrize("options", [{}, {"compress_level": 0}], ids=["usual", "not compressed"])
def test_a_large_png_is_no_bomb(options):
    noise = np.random.default_rng(0).integers(0, 256, (500, 700, 3), dtype=np.uint8)
    data = encode(noise, "PNG", **options)
    assert len(data) * 1032 > MOST_INFLATED_BYTES
    assert np.array_equal(decode_image(data, max_pixels=MAX_PIXELS), noise)


def test_an_interlaced_png_is_no_bomb():
    """Its smallest form of each pass, not compressed: as many bytes around the pixels as there can be."""
    passes = (
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    )
    noise = np.random.default_rng(0).integers(0, 256, (501, 703, 3), dtype=np.uint8)
    rows = (noise[y::height, x::width] for y, x, height, width in passes)
    raw = b"".join(b"\0" + row.tobytes() for image in rows for row in image)
    data = png_with(zlib.compress(raw, 0), width=703, height=501, interlaced=1)
    assert np.array_equal(decode_image(data, max_pixels=MAX_PIXELS), noise)


def test_a_jpeg_of_endless_scans_is_refused(no_decoder):
    with pytest.raises(UnsupportedImageError, match=f"more than {MOST_SCANS} scans"):
        decode_image(endless_scans(), max_pixels=MAX_PIXELS)


def test_what_only_looks_like_scans_is_none():
    """Pictures of phones carry previews in their header, and films after their end."""
    buffer = io.BytesIO()
    Image.fromarray(picture()).save(buffer, "JPEG", progressive=True, comment=b"\xff\xda" * 2 * MOST_SCANS)
    data = buffer.getvalue() + b"\xff\xda" * 2 * MOST_SCANS
    assert decode_image(data, max_pixels=MAX_PIXELS).shape == (60, 80, 3)
