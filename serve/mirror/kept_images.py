"""A bounded folder of the images on which two models disagree most; `distill` reads it as unlabelled data."""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import cv2
import numpy as np
from numpy.typing import NDArray

from modelpack.atomic import write_bytes, write_json
from modelpack.png import encode_png_rgb

JPEG_QUALITY = 95
ONLY_OWNER = 0o700


@dataclass(frozen=True)
class _Kept:
    """An image in the folder, and the JSON beside it."""

    image: Path
    size_bytes: int
    """Of both files."""

    @property
    def agreement(self) -> str:
        """The first part of its name: four decimals, so that names are in the order of agreement."""
        return self.image.name.partition("-")[0]

    def remove(self) -> None:
        self.image.unlink(missing_ok=True)
        self.image.with_suffix(".json").unlink(missing_ok=True)


class KeptImages:
    """Several processes may keep in one folder: its files are the only state, and a lock file guards them.

    `AGREEMENT-TIME-ID.jpg` (or `.png`) holds the pixels alone, written anew without the upload's metadata;
    `AGREEMENT-TIME-ID.json` says which models saw what. Each file is there whole or not at all.
    """

    def __init__(
        self, folder: Path, *, max_images: int, max_bytes: int, file_format: Literal["jpg", "png"]
    ) -> None:
        self._folder = folder
        self._max_images = max_images
        self._max_bytes = max_bytes
        self._format = file_format

    def offer(self, image_hwc: NDArray[np.uint8], agreement: float, facts: Mapping[str, Any]) -> bool:
        """Keep an RGB image (H, W, 3) if there is room, or if those that agree better make enough of it.

        Gives whether it was kept. Raises OSError where the folder cannot be written to.
        """
        shown = f"{agreement:.4f}"
        with self._locked():
            kept = sorted(self._kept(), key=lambda entry: entry.image.name)
            if len(kept) >= self._max_images and kept[-1].agreement <= shown:
                return False
            now = datetime.now(UTC)
            image = self._encode(image_hwc)
            content = {"agreement": round(agreement, 6), "time": now.isoformat(), **facts}
            size_bytes = len(image) + len(json.dumps(content))
            leaving = self._make_room(kept, shown, size_bytes)
            if leaving is None:
                return False
            for entry in leaving:
                entry.remove()
            stem = f"{shown}-{now:%Y%m%dT%H%M%SZ}-{uuid4().hex[:8]}"
            write_json(self._folder / f"{stem}.json", content)
            write_bytes(self._folder / f"{stem}.{self._format}", image)
        return True

    def _make_room(self, kept: list[_Kept], agreement: str, size_bytes: int) -> list[_Kept] | None:
        """Which images have to leave for the new one; None: it is the new one that stays outside."""
        remaining, leaving = list(kept), []
        total_bytes = sum(entry.size_bytes for entry in kept)
        while len(remaining) >= self._max_images or total_bytes + size_bytes > self._max_bytes:
            if not remaining or remaining[-1].agreement <= agreement:
                return None
            leaving.append(remaining.pop())
            total_bytes -= leaving[-1].size_bytes
        return leaving

    def _kept(self) -> Iterator[_Kept]:
        for image in self._folder.iterdir():
            if image.suffix in (".jpg", ".png") and not image.name.startswith("."):
                facts = image.with_suffix(".json")
                facts_bytes = facts.stat().st_size if facts.is_file() else 0
                yield _Kept(image, image.stat().st_size + facts_bytes)

    def _encode(self, image_hwc: NDArray[np.uint8]) -> bytes:
        if self._format == "png":
            return encode_png_rgb(np.ascontiguousarray(image_hwc))
        bgr_hwc = cv2.cvtColor(image_hwc, cv2.COLOR_RGB2BGR)
        return bytes(cv2.imencode(".jpg", bgr_hwc, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1])

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._folder.mkdir(mode=ONLY_OWNER, parents=True, exist_ok=True)
        with (self._folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
