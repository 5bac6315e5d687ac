"""What is asked of the service, and how that is written as HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from modelpack.png import encode_png_rgb

Image = bytes | Path | NDArray[np.uint8]
"""An encoded image (JPEG, PNG or WebP), a file that holds one, or RGB pixels (H, W, 3)."""


@dataclass(frozen=True)
class Question:
    """How an answer is to be written. The defaults are the service's."""

    format: str = "png"
    """A name of `serve.formats.FORMATS`; the service's `/docs` lists them."""
    classes: Sequence[str | int] = ()
    """Names or indices of the classes to show; empty: all."""
    size: Literal["original", "model"] = "original"
    alpha: float = 0.5
    """`overlay`: opacity of the colours, 0 to 1."""
    legend: bool = False
    """`overlay`: names of the classes beside it."""
    tolerance_px: float = 1.0
    """`polygons`: how far an outline may be off."""
    model: str | None = None
    """NAME or NAME:VERSION; None: the service's default."""
    deadline_ms: int | None = None
    """After which the answer is of no use; then the service answers 504."""

    @property
    def params(self) -> dict[str, Any]:
        written: dict[str, Any] = {
            "format": self.format,
            "size": self.size,
            "alpha": self.alpha,
            "legend": str(self.legend).lower(),
            "tolerance": self.tolerance_px,
        }
        if self.classes:
            written["classes"] = [str(name) for name in self.classes]
        if self.model is not None:
            written["model"] = self.model
        return written

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.deadline_ms is None else {"X-Deadline-Ms": str(self.deadline_ms)}


def encoded(image: Image) -> bytes:
    """The bytes to send. Raises OSError for a file that cannot be read, ShapeError for wrong pixels."""
    if isinstance(image, bytes):
        return image
    return image.read_bytes() if isinstance(image, Path) else encode_png_rgb(image)


def batch_files(images: Sequence[Image]) -> list[tuple[str, tuple[str, bytes]]]:
    """The parts of a form; files keep their names, other images get their number."""
    return [
        ("image", (image.name if isinstance(image, Path) else str(index), encoded(image)))
        for index, image in enumerate(images)
    ]


def authorisation(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}
