"""Read one image or one mask from a file, or say what is wrong with it."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from modelpack.errors import DatasetError


class ColourMaskError(DatasetError):
    """A mask that holds colours where class indices are read."""


IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif")
"""Lossless formats only: JPEG blends class indices at every border."""

_JPEG_START, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
_GREY_STEP_OF_DEPTH = {1: 255, 2: 85, 4: 17}
"""Decoders stretch PNG greys of fewer than 8 bits to 0-255 by this factor; indices need it undone."""


def read_image(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) RGB; greys are repeated, transparency is dropped, EXIF orientation is applied.

    Raises DatasetError for a file that is missing, cut short or no image.
    """
    content = _read(path, "image")
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if decoded is None or _is_cut_short(content):
        raise DatasetError(
            f"image {path} does not decode; it is damaged or no image. Replace or remove it and its mask."
        )
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def read_index_mask(path: Path) -> NDArray[np.uint8]:
    """(H, W) stored values of a one-channel mask; a palette PNG gives its indices, never its colours.

    Raises DatasetError for a missing or damaged file and for 16-bit masks, ColourMaskError for colours.
    """
    with _open_mask(path) as mask:
        if mask.mode.startswith(("I", "F")):
            raise DatasetError(
                f"mask {path} has more than 8 bits per pixel (mode {mask.mode}); masks hold class indices "
                "0 to 255. Convert it to an 8-bit one-channel PNG."
            )
        if mask.mode not in ("1", "L", "P"):
            raise ColourMaskError(
                f"mask {path} is a colour picture (mode {mask.mode}), not class indices. Convert it to one "
                "channel, or use the dataset `folder` with `masks: colour` in its classes.yaml."
            )
        values = np.asarray(mask, np.uint8)
        if mask.mode == "1":
            return values
        return values // _GREY_STEP_OF_DEPTH.get(_grey_depth(path), 1)


def read_colours(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of a colour mask, palette applied."""
    with _open_mask(path) as mask:
        if mask.mode not in ("RGB", "RGBA", "P"):
            raise DatasetError(
                f"mask {path} has one channel (mode {mask.mode}), not colours. Say `masks: index` "
                "in classes.yaml."
            )
        return np.asarray(mask.convert("RGB"), np.uint8)


def _read(path: Path, kind: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{kind} {path} cannot be read: {error.strerror or error}.") from error


def _open_mask(path: Path) -> Image.Image:
    if not path.is_file():
        raise DatasetError(f"mask {path} does not exist.")
    try:
        mask = Image.open(path)
        mask.load()
    except (OSError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DatasetError(
            f"mask {path} does not decode ({error}). Replace or remove it and its image."
        ) from error
    return mask


def _is_cut_short(content: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end marker: decoders fill what is missing with grey and say nothing."""
    half = len(content) // 2  # an embedded thumbnail near the start has an end marker of its own
    if content.startswith(_JPEG_START):
        return _JPEG_END not in content[half:]
    return content.startswith(_PNG_START) and _PNG_END not in content[half:]


def _grey_depth(path: Path) -> int:
    """Bits per pixel of a greyscale PNG, from its header; 8 for everything else."""
    with path.open("rb") as file:
        header = file.read(26)
    is_grey_png = header.startswith(_PNG_START) and header[25] == 0
    return header[24] if is_grey_png else 8
