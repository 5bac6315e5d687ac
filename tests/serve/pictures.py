"""Images of every kind, and files that only look like images."""

import io
import struct
import zlib

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def gradient(height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """(H, W, 3) RGB, dark to bright from left to right, the channels apart from each other."""
    ramp = np.linspace(0, 225, width)[None, :, None] + np.array([0, 10, 30])
    return np.broadcast_to(ramp, (height, width, 3)).astype(np.uint8)


def png(image: NDArray[np.generic]) -> bytes:
    """RGB (8 or 16 bits), RGBA or grey, as given."""
    order = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    array = cv2.cvtColor(image, order[image.shape[2]]) if image.ndim == 3 else image
    return bytes(cv2.imencode(".png", array)[1])


def pillow(image: NDArray[np.uint8], file_format: str, mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).convert(mode).save(buffer, file_format, **options)
    return buffer.getvalue()


def rotated_jpeg(image: NDArray[np.uint8]) -> bytes:
    """Stored lying on its side, with the EXIF entry that turns it upright."""
    exif = Image.Exif()
    exif[0x0112] = 6  # show it turned by 90 degrees clockwise
    return pillow(np.ascontiguousarray(np.rot90(image, 1)), "JPEG", quality=95, exif=exif.tobytes())


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is this large and goes no further than its first pixels."""
    return (
        PNG_SIGNATURE
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + _chunk(b"IDAT", zlib.compress(bytes(1000)))
    )


def jpeg_header(width: int, height: int) -> bytes:
    frame = struct.pack(">BHHB", 8, height, width, 3) + bytes([1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0])
    return b"\xff\xd8\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
