"""The one EXIF entry that changes pixels: which way up the picture is."""

import struct

import numpy as np
from numpy.typing import NDArray

_ORIENTATION_TAG = 0x0112
_SHORT = 3
_ENTRY_BYTES = 12


def read_orientation(segment: bytes) -> int | None:
    """Orientation (1-8) from the content of a JPEG's APP1 segment; None where it says nothing usable."""
    if not segment.startswith(b"Exif\x00\x00"):
        return None
    tiff = segment[6:]
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return None
    try:
        (first,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, first)
        for entry in range(count):
            position = first + 2 + entry * _ENTRY_BYTES
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, position)
            if tag == _ORIENTATION_TAG and kind == _SHORT:
                return value if 1 <= value <= 8 else None
    except struct.error:
        return None
    return None


def turn_upright(image_hwc: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation (CIPA DC-008, tag 274); orientations 5 to 8 swap height and width."""
    upright = image_hwc.swapaxes(0, 1) if orientation >= 5 else image_hwc
    if orientation in (3, 4, 7, 8):
        upright = upright[::-1]
    if orientation in (2, 3, 6, 7):
        upright = upright[:, ::-1]
    return np.ascontiguousarray(upright)
