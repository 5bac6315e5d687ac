"""Format, size and orientation of an encoded image, read from its first bytes without decoding a pixel."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from modelpack.errors import CorruptImageError, UnsupportedImageError
from modelpack.exif import read_orientation
from modelpack.png import SIGNATURE as PNG_SIGNATURE

_JPEG_SIGNATURE = b"\xff\xd8\xff"
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""SOF0 ... SOF15 without DHT, JPG and DAC, which share the range."""
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without a length: TEM, RST0 ... RST7."""
_APP1, _START_OF_SCAN, _END_OF_IMAGE = 0xE1, 0xDA, 0xD9
_WEBP_ANIMATION = 0x02


@dataclass(frozen=True)
class ImageHeader:
    """What the first bytes say. Sizes are as stored: `orientation` may still swap them."""

    format: Literal["jpeg", "png", "webp"]
    width: int
    height: int
    orientation: int = 1
    """EXIF orientation, 1-8, of a JPEG; 1 is upright, 5-8 swap width and height. OpenCV reads the others'."""

    @property
    def num_pixels(self) -> int:
        return self.width * self.height


def read_header(data: bytes) -> ImageHeader:
    """Look at an encoded image; takes microseconds whatever its size.

    Raises UnsupportedImageError for other formats, CorruptImageError where the header breaks off or gives no
    pixels.
    """
    if not data:
        raise CorruptImageError("the image is empty (0 bytes).")
    try:
        header = _parse(data)
    except (struct.error, IndexError):
        raise CorruptImageError(f"the image breaks off inside its header ({len(data)} bytes).") from None
    if not header.num_pixels:
        raise CorruptImageError(
            f"the {header.format.upper()} says it has {header.width}x{header.height} pixels."
        )
    return header


def _parse(data: bytes) -> ImageHeader:
    if data.startswith(PNG_SIGNATURE):
        return _parse_png(data)
    if data.startswith(_JPEG_SIGNATURE):
        return _parse_jpeg(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _parse_webp(data)
    raise UnsupportedImageError(f"not a JPEG, PNG or WebP image: it starts with {data[:8]!r}.")


def _parse_png(data: bytes) -> ImageHeader:
    length, name, width, height = struct.unpack_from(">I4sII", data, len(PNG_SIGNATURE))
    if name != b"IHDR" or length != 13:
        raise CorruptImageError("the PNG does not start with its header (IHDR).")
    return ImageHeader("png", width, height)


def _parse_jpeg(data: bytes) -> ImageHeader:
    orientation = 1
    for marker, start, end in _jpeg_segments(data):
        if marker in _JPEG_FRAMES:
            depth, height, width = struct.unpack_from(">BHH", data, start)
            if depth != 8:
                raise UnsupportedImageError(f"a JPEG with {depth} bits per channel; 8 are supported.")
            return ImageHeader("jpeg", width, height, orientation)
        if marker == _APP1:
            orientation = read_orientation(data[start:end]) or orientation
    raise CorruptImageError("the JPEG ends or starts its pixels without saying its size.")


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end of its content) up to the first scan."""
    position = 2
    while True:
        if data[position] != 0xFF:
            raise CorruptImageError(f"the JPEG is damaged at byte {position}: no marker where one must be.")
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in _JPEG_BARE:
            position += 2
            continue
        if marker in (_START_OF_SCAN, _END_OF_IMAGE):
            return
        (length,) = struct.unpack_from(">H", data, position + 2)
        yield marker, position + 4, position + 2 + length
        position += 2 + length


def _parse_webp(data: bytes) -> ImageHeader:
    """Lossy (VP8), lossless (VP8L) and extended (VP8X) files; layouts of RFC 9649."""
    kind = data[12:16]
    if kind == b"VP8X":
        if data[20] & _WEBP_ANIMATION:
            raise UnsupportedImageError("an animated WebP; send a single picture.")
        return ImageHeader("webp", _uint24(data, 24) + 1, _uint24(data, 27) + 1)
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return ImageHeader("webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return ImageHeader("webp", width & 0x3FFF, height & 0x3FFF)
    raise CorruptImageError(f"the WebP holds {kind!r} where its picture must start.")


def _uint24(data: bytes, position: int) -> int:
    low, high = struct.unpack_from("<HB", data, position)
    return int(low | high << 16)
