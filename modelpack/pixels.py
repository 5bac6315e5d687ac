"""Encoded images to pixels, defensively: the header decides before a single pixel is decoded."""

import struct

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from modelpack.bombs import check_inflated, check_scans
from modelpack.errors import CorruptImageError, ImageTooLargeError
from modelpack.exif import turn_upright
from modelpack.image_header import ImageHeader, read_header
from modelpack.png import SIGNATURE, decode_png_labels, encode_png_labels, encode_png_rgb

__all__ = [
    "ImageHeader",
    "check_header",
    "decode_image",
    "decode_png_labels",
    "encode_png_labels",
    "encode_png_rgb",
    "read_header",
]


def check_header(data: bytes, *, max_pixels: int) -> ImageHeader:
    """The header of an image that may be decoded. Raises as `read_header` does, and ImageTooLargeError."""
    header = read_header(data)
    if header.num_pixels > max_pixels:
        raise ImageTooLargeError(
            f"the image has {header.width}x{header.height} = {header.num_pixels} pixels, "
            f"the limit is {max_pixels}. Send a smaller one."
        )
    return header


def decode_image(data: bytes, *, max_pixels: int) -> NDArray[np.uint8]:
    """JPEG, PNG or WebP to RGB uint8 (H, W, 3), upright where its EXIF says how.

    Grey and palette images become RGB, CMYK JPEGs are converted, 16-bit PNGs are scaled to 8 bits. An alpha
    channel is dropped: the colours stored under it count, whatever their opacity. Of an animated PNG the
    first frame counts; an animated WebP is refused. Raises ImageTooLargeError from the header alone,
    UnsupportedImageError and CorruptImageError (also for files that break off, which some decoders fill up,
    and for those of `modelpack.bombs`).
    """
    header = check_header(data, max_pixels=max_pixels)
    if header.format == "jpeg":
        return turn_upright(_decode_jpeg(data), header.orientation)
    if header.format == "png":
        check_inflated(data, _pixel_data_of_png(data))
    else:
        _check_webp_is_complete(data)
    return _decode_with_opencv(data, header)


def _decode_jpeg(data: bytes) -> NDArray[np.uint8]:
    check_scans(data)
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, "RGB", strict=True), np.uint8)
    except ValueError as error:
        raise CorruptImageError(f"the JPEG does not decode: {error}.") from error


def _decode_with_opencv(data: bytes, header: ImageHeader) -> NDArray[np.uint8]:
    try:
        image_bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise CorruptImageError(f"the {header.format.upper()} does not decode: {error.err}.") from error
    sizes = (header.height, header.width), (header.width, header.height)  # OpenCV has turned it upright
    if image_bgr is None or image_bgr.shape[:2] not in sizes:
        raise CorruptImageError(f"the {header.format.upper()} does not decode; it is damaged.")
    return np.asarray(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB), np.uint8)


def _pixel_data_of_png(data: bytes) -> list[slice]:
    """Walk from chunk to chunk up to the end mark; gives where those with pixels have their content."""
    position = len(SIGNATURE)
    found = []
    try:
        while True:
            length, name = struct.unpack_from(">I4s", data, position)
            if name == b"IDAT":
                found.append(slice(position + 8, position + 8 + length))
            position += length + 12  # length, name, content, checksum
            if name == b"IEND" and position <= len(data):
                return found
    except struct.error:
        raise CorruptImageError(f"the PNG breaks off after {len(data)} bytes.") from None


def _check_webp_is_complete(data: bytes) -> None:
    (riff_bytes,) = struct.unpack_from("<I", data, 4)
    if riff_bytes + 8 > len(data):
        raise CorruptImageError(f"the WebP breaks off: it has {len(data)} of {riff_bytes + 8} bytes.")
