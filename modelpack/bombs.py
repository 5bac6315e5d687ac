"""Pictures of few bytes, and of an allowed size, that would keep a decoder busy for minutes."""

import re
import zlib
from collections.abc import Iterator

from modelpack.errors import CorruptImageError, UnsupportedImageError

MOST_SCANS = 100
"""Of a JPEG: encoders write about ten, and a decoder goes through all of its pixels for each."""
MOST_INFLATED_BYTES = 512 << 20
"""Of a PNG: what is allowed without a look, because it takes no longer than the largest pictures do."""
_MOST_DEFLATED = 1032
"""Bytes that one byte of a deflate stream can become."""
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By the colour type of a PNG."""
_PIECE_BYTES = 1 << 20
_START_OF_SCAN = b"\xff\xda"
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""Within the pixels of a JPEG only these end them: 0xFF is followed by a zero there, or by a restart."""
_END_OF_IMAGE = 0xD9


def check_scans(jpeg: bytes) -> None:
    """Raises UnsupportedImageError for a JPEG of more scans than any encoder writes.

    Progressive scans that refine nothing cost a dozen bytes each, and a pass over all coefficients.
    """
    if jpeg.count(_START_OF_SCAN) <= MOST_SCANS:
        return
    for number, _ in enumerate(_scans(jpeg), start=1):
        if number > MOST_SCANS:
            raise UnsupportedImageError(
                f"a JPEG of more than {MOST_SCANS} scans; save it anew, as a baseline JPEG for instance."
            )


def check_inflated(png: bytes, pixel_data: list[slice]) -> None:
    """Raises CorruptImageError where a PNG's pixel data inflate to more than its pixels.

    pixel_data: where in `png` the contents of its IDAT chunks are. Decoders would inflate them to the end.
    """
    if _MOST_DEFLATED * sum(part.stop - part.start for part in pixel_data) <= MOST_INFLATED_BYTES:
        return
    most_bytes = _most_raw_bytes(png)
    inflated_bytes = 0
    for piece in _inflated(png, pixel_data):
        inflated_bytes += len(piece)
        if inflated_bytes > most_bytes:
            raise CorruptImageError(f"the PNG holds more pixel data than the {most_bytes} bytes of its size.")


def _scans(jpeg: bytes) -> Iterator[int]:
    """The position of each scan, up to the end of the image."""
    position = 2
    while found := _MARKER.search(jpeg, position):
        marker, position = jpeg[found.start() + 1], found.end()
        if marker == _END_OF_IMAGE:
            return
        if marker == _START_OF_SCAN[1]:
            yield found.start()
        position += int.from_bytes(jpeg[position : position + 2], "big")


def _most_raw_bytes(png: bytes) -> int:
    """Of filtered rows, each led by a byte. Interlaced pictures have up to twice the rows, and pad each."""
    width, height = (int.from_bytes(png[start : start + 4], "big") for start in (16, 20))
    bits_per_pixel = png[24] * _CHANNELS.get(png[25], 4)
    return int((width * bits_per_pixel // 8 + 5) * height + 64)


def _inflated(png: bytes, pixel_data: list[slice]) -> Iterator[bytes]:
    """What cannot be inflated ends it: the decoder will say so."""
    inflater = zlib.decompressobj()
    for part in pixel_data:
        deflated = png[part]
        while deflated and not inflater.eof:
            try:
                yield inflater.decompress(deflated, _PIECE_BYTES)
            except zlib.error:
                return
            deflated = inflater.unconsumed_tail
