"""Masks and pictures as PNG: fast, lossless, and readable by everyone."""

import struct
import zlib

import cv2
import numpy as np
from numpy.typing import NDArray

from modelpack.errors import CorruptImageError, ShapeError, UnsupportedImageError
from modelpack.labels import Colour

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTE = 0, 3
_FILTER_UP = 2
_IHDR_END = len(SIGNATURE) + 25  # length, name, 13 bytes, checksum


def encode_png_labels(mask_hw: NDArray[np.uint8], palette: tuple[Colour, ...] | None = None) -> bytes:
    """(H, W) class indices as an 8-bit PNG whose pixel values are the indices.

    With a palette, viewers show its colours (values beyond it are black) and readers of indexed images still
    get the indices; without one the PNG is greyscale. Rows are stored as differences to the row above and
    run-length coded: for label maps as small as the best filters and several times faster.
    """
    if mask_hw.ndim != 2 or mask_hw.dtype != np.uint8 or not mask_hw.size:
        raise ShapeError(
            f"a mask is uint8 (H, W) with at least one pixel, got {mask_hw.dtype} {mask_hw.shape}."
        )
    height, width = mask_hw.shape
    rows = np.empty((height, width + 1), np.uint8)
    rows[:, 0] = _FILTER_UP
    rows[0, 1:] = mask_hw[0]
    np.subtract(mask_hw[1:], mask_hw[:-1], out=rows[1:, 1:])
    compressor = zlib.compressobj(level=1, strategy=zlib.Z_RLE)
    pixels = compressor.compress(rows.tobytes()) + compressor.flush()
    kind = _GREY if palette is None else _PALETTE
    chunks = [_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))]
    if palette is not None:
        colours = np.zeros((max(len(palette), int(mask_hw.max()) + 1), 3), np.uint8)
        colours[: len(palette)] = palette
        chunks.append(_chunk(b"PLTE", colours.tobytes()))
    return b"".join([SIGNATURE, *chunks, _chunk(b"IDAT", pixels), _chunk(b"IEND", b"")])


def decode_png_labels(data: bytes) -> NDArray[np.uint8]:
    """The indices of an 8-bit greyscale or palette PNG, (H, W). Raises an ImageError for anything else."""
    if not data.startswith(SIGNATURE + b"\x00\x00\x00\x0dIHDR") or len(data) < _IHDR_END:
        raise UnsupportedImageError("a label map is a PNG, and these bytes are none.")
    depth, kind = data[24], data[25]
    if depth != 8 or kind not in (_GREY, _PALETTE):
        raise UnsupportedImageError(
            f"a label map is an 8-bit greyscale or palette PNG, got {depth} bits of colour type {kind}."
        )
    mask_hw = cv2.imdecode(np.frombuffer(_as_grey(data), np.uint8), cv2.IMREAD_UNCHANGED)
    if mask_hw is None or mask_hw.ndim != 2:
        raise CorruptImageError("the PNG label map does not decode; it is damaged.")
    return np.asarray(mask_hw, np.uint8)


def encode_png_rgb(image_hwc: NDArray[np.uint8]) -> bytes:
    """(H, W, 3) RGB as PNG."""
    if image_hwc.ndim != 3 or image_hwc.shape[2] != 3 or image_hwc.dtype != np.uint8 or not image_hwc.size:
        raise ShapeError(f"a picture is uint8 (H, W, 3), got {image_hwc.dtype} {image_hwc.shape}.")
    _, encoded = cv2.imencode(".png", cv2.cvtColor(image_hwc, cv2.COLOR_RGB2BGR))
    return bytes(encoded)


def _as_grey(data: bytes) -> bytes:
    """The same pixels declared as grey levels: OpenCV would otherwise give the palette's colours."""
    header = bytearray(data[16:29])
    header[9] = _GREY
    return SIGNATURE + _chunk(b"IHDR", bytes(header)) + data[_IHDR_END:]


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
