"""Masks and pictures as PNG: fast, lossless, and readable by everyone."""

import struct
import zlib
from collections.abc import Mapping
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from modelpack.deflate import deflate
from modelpack.errors import CorruptImageError, ShapeError, UnsupportedImageError
from modelpack.labels import Colour

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTE = 0, 3
_FILTER_UP = 2
_IHDR_END = len(SIGNATURE) + 25  # length, name, 13 bytes, checksum

Text = Mapping[str, str]
"""Keyword -> text, both Latin-1."""
NO_TEXT: Text = MappingProxyType({})


def encode_png_labels(
    mask_hw: NDArray[np.uint8], palette: tuple[Colour, ...] | None = None, text: Text = NO_TEXT
) -> bytes:
    """(H, W) class indices as an 8-bit PNG whose pixel values are the indices.

    With a palette, viewers show its colours (values beyond it are black) and readers of indexed images still
    get the indices; without one the PNG is greyscale. Rows are stored as differences to the row above,
    which leaves mostly zeros. `text`: remarks that travel in the file.
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
    pixels = deflate(rows.tobytes())
    kind = _GREY if palette is None else _PALETTE
    chunks = [_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))]
    if palette is not None:
        colours = np.zeros((max(len(palette), int(mask_hw.max()) + 1), 3), np.uint8)
        colours[: len(palette)] = palette
        chunks.append(_chunk(b"PLTE", colours.tobytes()))
    return b"".join([SIGNATURE, *chunks, _text(text), _chunk(b"IDAT", pixels), _chunk(b"IEND", b"")])


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


def encode_png_rgb(image_hwc: NDArray[np.uint8], text: Text = NO_TEXT) -> bytes:
    """(H, W, 3) RGB as PNG, with remarks that travel in the file."""
    if image_hwc.ndim != 3 or image_hwc.shape[2] != 3 or image_hwc.dtype != np.uint8 or not image_hwc.size:
        raise ShapeError(f"a picture is uint8 (H, W, 3), got {image_hwc.dtype} {image_hwc.shape}.")
    _, encoded = cv2.imencode(".png", cv2.cvtColor(image_hwc, cv2.COLOR_RGB2BGR))
    content = bytes(encoded)
    return content[:_IHDR_END] + _text(text) + content[_IHDR_END:]


def read_png_text(data: bytes) -> dict[str, str]:
    """The plain text chunks of a PNG, keyword -> text. Raises CorruptImageError where it breaks off."""
    found = {}
    position = len(SIGNATURE)
    while position < len(data):
        length, name = struct.unpack(">I4s", data[position : position + 8].ljust(8, b"\0"))
        if position + length + 12 > len(data):
            raise CorruptImageError(f"the PNG breaks off after {len(data)} bytes.")
        if name == b"tEXt":
            keyword, _, value = data[position + 8 : position + 8 + length].partition(b"\0")
            found[keyword.decode("latin-1")] = value.decode("latin-1")
        position += length + 12  # length, name, content, checksum
    return found


def _as_grey(data: bytes) -> bytes:
    """The same pixels declared as grey levels: OpenCV would otherwise give the palette's colours."""
    header = bytearray(data[16:29])
    header[9] = _GREY
    return SIGNATURE + _chunk(b"IHDR", bytes(header)) + data[_IHDR_END:]


def _text(text: Text) -> bytes:
    """PNG 11.3.3.2: keyword (1 to 79 characters), a zero byte, the text; both Latin-1."""
    return b"".join(
        _chunk(b"tEXt", f"{keyword}\0{value}".encode("latin-1")) for keyword, value in text.items()
    )


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
