"""Find the mask of every image by name, and refuse a folder where either is missing."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from distill.datasets.dataset import MissingSplitError
from distill.datasets.files import Entry
from distill.datasets.reading import IMAGE_SUFFIXES, MASK_SUFFIXES
from modelpack.errors import DatasetError

_NAME = "{name}"
_MAX_NAMED = 5
_JPEG_SUFFIXES = (".jpg", ".jpeg")


def pair_files(root: Path, images: str, masks: str, names: Iterable[str] | None = None) -> tuple[Entry, ...]:
    """Pairs sorted by name. Patterns below `root`: a folder, or a path with `{name}` and any or no suffix.

    names: the split's members; None takes every file that the patterns match.
    Raises DatasetError for a missing folder, and lists every file without its partner.
    """
    mask_of = _files(root, masks, MASK_SUFFIXES, "mask")
    taken = (
        set(mask_of.values()) if "{name}" in masks else set()
    )  # `{name}.png` would match `a_mask.png` as well
    image_of = {
        name: path
        for name, path in _files(root, images, IMAGE_SUFFIXES, "image").items()
        if path not in taken
    }
    wanted = sorted(set(image_of) | set(mask_of) if names is None else set(names))
    no_mask = [name for name in wanted if name not in mask_of]
    no_image = [name for name in wanted if name not in image_of]
    if no_mask or no_image:
        problems = [
            f"{len(missing)} without {kind}: {listed(missing)}"
            for kind, missing in (("mask", no_mask), ("image", no_image))
            if missing
        ]
        raise DatasetError(
            f"{root}: images ({images}) and masks ({masks}) do not pair: {'; '.join(problems)}. A pair has "
            f"the same name up to the suffix. Add or remove these files.{_jpeg_hint(root, masks)}"
        )
    return tuple(Entry(name, image_of[name], mask_of[name]) for name in wanted)


def _files(root: Path, pattern: str, suffixes: tuple[str, ...], kind: str) -> Mapping[str, Path]:
    """Name -> file for everything that `pattern` matches."""
    if _NAME not in pattern:
        pattern = f"{pattern}/{_NAME}"
    folder = root / pattern.partition(_NAME)[0].rpartition("/")[0]
    if not folder.is_dir():
        raise MissingSplitError(f"{kind} folder {folder} does not exist. Check data.root.")
    before, _, after = pattern.partition(_NAME)
    has_suffix = after.lower().endswith(suffixes)
    expression = re.compile(re.escape(before) + "(.+?)" + re.escape(after) + ("" if has_suffix else r"\.\w+"))
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*") if "/" in after else folder.iterdir()):
        match = expression.fullmatch(path.relative_to(root).as_posix())
        if match is None or path.name.startswith(".") or path.suffix.lower() not in suffixes:
            continue
        if match[1] in found:
            raise DatasetError(
                f"{kind}s {found[match[1]]} and {path} have the same name. Remove one of them."
            )
        found[match[1]] = path
    return found


def listed(names: list[str]) -> str:
    """The first few, and how many more."""
    return ", ".join(names[:_MAX_NAMED]) + (
        f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    )


def _jpeg_hint(root: Path, masks: str) -> str:
    folder = root / masks.partition(_NAME)[0]
    has_jpegs = folder.is_dir() and any(path.suffix.lower() in _JPEG_SUFFIXES for path in folder.iterdir())
    return (
        " JPEG files are no masks: compression changes their values; store masks as PNG." if has_jpegs else ""
    )
