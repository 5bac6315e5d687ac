"""Encoded pictures of every kind that a user may send, for the tests of reading them."""

import io
import struct
import zlib

import cv2
import numpy as np
from PIL import Image


def picture(height=60, width=80):
    """(H, W, 3) RGB, smooth, different at every corner."""
    y, x = np.mgrid[0:height, 0:width]
    return np.dstack([x * 255 // width, y * 255 // height, (x + y) * 255 // (height + width)]).astype(
        np.uint8
    )


def encode(image, kind, mode=None, **options):
    pillow = Image.fromarray(image)
    buffer = io.BytesIO()
    (pillow.convert(mode) if mode else pillow).save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg_with_orientation(image, orientation, quality=95):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(image, "JPEG", quality=quality, subsampling=0, exif=exif)


def png_16_bit(image):
    _, encoded = cv2.imencode(".png", image[..., ::-1].astype(np.uint16) * 257)
    return bytes(encoded)


def huge_png(width, height):
    """A valid header that promises far more than it holds."""
    content = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + content + struct.pack(">I", zlib.crc32(content))


def huge_jpeg(width, height):
    """A small JPEG whose frame header was told another size."""
    data = bytearray(encode(picture(), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def _chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_with(pixel_data, width=64, height=48, interlaced=0, chunk_bytes=1 << 20):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, interlaced)
    parts = [pixel_data[start : start + chunk_bytes] for start in range(0, len(pixel_data), chunk_bytes)]
    chunks = [(b"IHDR", header), *((b"IDAT", part) for part in parts), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*each) for each in chunks)


def zeros_deflated(size_bytes):
    """Made of one block again and again, which is much faster than deflating so many zeros."""
    piece = 1 << 20
    deflater = zlib.compressobj(9)
    first = deflater.compress(bytes(piece)) + deflater.flush(zlib.Z_FULL_FLUSH)
    again = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = again.compress(bytes(piece)) + again.flush(zlib.Z_FULL_FLUSH)
    return first + block * (size_bytes // piece - 1) + b"\x03\x00" + bytes(4)


def endless_scans():
    """A progressive JPEG whose last scan comes again and again."""
    data = encode(picture(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * 5000 + data[-2:]
