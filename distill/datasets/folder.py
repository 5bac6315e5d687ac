"""Your own data: a folder of images, one of masks, and a `classes.yaml` that says what the masks mean."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import field_validator

from distill.datasets.classes_file import read_classes
from distill.datasets.dataset import DatasetSettings, MissingSplitError
from distill.datasets.files import FileDataset
from distill.datasets.pairing import listed, pair_files
from modelpack.errors import DatasetError


class FolderSettings(DatasetSettings):
    """Where things are below `root`. `{split}` is the split, `{name}` what image and mask share."""

    name: str = "folder"
    root: Path = Path("data")
    images: str = "{split}/images"
    """A folder, or a path with `{name}`: `{split}/{name}_image.png`."""
    masks: str = "{split}/masks"
    list_file: str | None = None
    """Text file with the split's names, one per line, as in `lists/{split}.txt`. None: every file found."""
    splits: Mapping[str, str] = {}
    """What stands for `{split}`, where it is another word: {val: validation}."""
    classes: Path = Path("classes.yaml")

    @field_validator("root", mode="before")
    @classmethod
    def _is_given(cls, root: Any) -> Any:
        if root is None:
            raise ValueError("say where your data is, as in data.root=/path/to/data")
        return root

    @field_validator("images", "masks")
    @classmethod
    def _one_name(cls, pattern: str) -> str:
        if pattern.count("{name}") > 1:
            raise ValueError(f"pattern {pattern!r} holds {{name}} more than once")
        return pattern.rstrip("/")


def open_folder(settings: FolderSettings, split: str) -> FileDataset:
    if not settings.root.is_dir():
        raise DatasetError(f"data.root {settings.root} is no folder.")
    classes = read_classes(settings.root / settings.classes)
    word = settings.splits.get(split, split)
    images, masks = (pattern.replace("{split}", word) for pattern in (settings.images, settings.masks))
    names = (
        None
        if settings.list_file is None
        else _read_list(settings.root / settings.list_file.replace("{split}", word))
    )
    try:
        entries = pair_files(settings.root, images, masks, names)
    except MissingSplitError as error:
        raise MissingSplitError(f"{error} {_layout(settings, word)}") from None
    return FileDataset(classes.labels(), split, entries, classes.table(), classes.mask_format())


def _layout(settings: FolderSettings, word: str) -> str:
    """What is there instead, and how to say where images and masks lie."""
    folder = settings.root / word
    folder = folder if folder.is_dir() else settings.root
    there = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())
    return (
        f"{folder} holds {listed(there) or 'nothing'}. Other names can be given: data.images={{split}}/img "
        "data.masks={split}/annotations data.splits.val=validation."
    )


def _read_list(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8").split()
    except FileNotFoundError:
        raise MissingSplitError(
            f"list {path} of the split's names does not exist. Check data.list_file."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"list {path} of the split's names cannot be read: {error}") from error
    return tuple(lines)
