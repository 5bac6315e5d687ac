"""`classes.yaml`: what the masks of a folder mean."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, field_validator, model_validator

from distill.datasets.label_table import UNKNOWN, LabelTable, index_table, label_table
from distill.datasets.mask_formats import ColourMasks, IndexMasks, MaskFormat
from modelpack.errors import DatasetError
from modelpack.labels import IGNORE, Colour, LabelSet, distinct_palette
from modelpack.recipe import yaml_problem
from modelpack.settings import StrictModel, parse_settings

Value = Annotated[int, Field(ge=0, le=255)]


class ClassesFile(StrictModel):
    """Class names and how a mask stores them."""

    names: dict[Value, str]
    """Stored value -> name, in the order of the class index. A plain list counts from 0."""
    palette: tuple[Colour, ...] | None = None
    """RGB, one per class, in the order of `names`. Needed for colour masks; else colours are chosen."""
    masks: Literal["index", "colour"] = "index"
    ignore: tuple[Value, ...] | tuple[Colour, ...] | Literal["rest"] | None = None
    """Stored values or colours without a label; `rest`: all that no class has. None: 255, unless a class."""

    @field_validator("names", mode="before")
    @classmethod
    def _count_a_list(cls, names: Any) -> Any:
        return dict(enumerate(names)) if isinstance(names, list) else names

    @field_validator("ignore", mode="before")
    @classmethod
    def _one_is_a_list_of_one(cls, ignore: Any) -> Any:
        return (ignore,) if isinstance(ignore, int) else ignore

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.masks == "colour" and self.palette is None:
            raise ValueError("colour masks need a palette: the RGB triple of each class")
        if (
            self.palette is not None
            and len(set(self.palette)) != len(self.palette)
            and self.masks == "colour"
        ):
            raise ValueError("two classes have the same colour; colour masks cannot tell them apart")
        if isinstance(self.ignore, tuple) and self.ignore:
            has_colours = isinstance(self.ignore[0], tuple)
            if has_colours != (self.masks == "colour"):
                raise ValueError(
                    f"ignore must hold {'RGB triples' if self.masks == 'colour' else 'values 0 to 255'}"
                )
            taken = set(self.palette or ()) if has_colours else set(self.names)
            if taken & set(self.ignore):
                raise ValueError(f"{sorted(taken & set(self.ignore))} is both a class and ignored")
        self.labels()
        return self

    def labels(self) -> LabelSet:
        names = tuple(self.names.values())
        return LabelSet(names=names, palette=self.palette or distinct_palette(len(names)))

    def table(self) -> LabelTable:
        if self.masks == "colour":
            return index_table(len(self.names), ignored=[IGNORE])
        class_of = {value: index for index, value in enumerate(self.names)}
        if self.ignore == "rest":
            return label_table(class_of, others=IGNORE)
        ignored = {IGNORE} - set(class_of) if self.ignore is None else self.ignore
        return label_table(class_of, [value for value in ignored if isinstance(value, int)])

    def mask_format(self) -> MaskFormat:
        if self.masks == "index":
            return IndexMasks()
        value_of = {colour: index for index, colour in enumerate(self.palette or ())}
        if isinstance(self.ignore, tuple):
            value_of |= {colour: IGNORE for colour in self.ignore if isinstance(colour, tuple)}
        return ColourMasks(value_of, others=IGNORE if self.ignore == "rest" else UNKNOWN)


def read_classes(path: Path) -> ClassesFile:
    """Raises DatasetError for a missing or unreadable file, SettingsError for wrong contents."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DatasetError(
            f"{path} does not exist. Write one with `names: [road, car, ...]` and, for colour masks, "
            "`masks: colour` and `palette: [[128, 64, 128], ...]`."
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DatasetError(f"{path} cannot be read: {yaml_problem(error)}.") from error
    if not isinstance(values, dict):
        raise DatasetError(f"{path} must hold `names: [...]`, found {type(values).__name__}.")
    return parse_settings(ClassesFile, values, str(path))
