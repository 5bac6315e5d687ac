"""Read a recipe: one YAML file, `include:` of another, and `key.sub=value` overrides on top.

A recipe describes the whole chain. The keys of the other stages stand in sections of their own (`SECTIONS`);
everything else describes training. Each stage takes its part and validates it strictly.
"""

import importlib.resources
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from modelpack.errors import SettingsError

SECTIONS = ("pretrain", "compare", "export", "bench", "serve")
"""Top-level keys that belong to a stage other than training."""
_PLACEHOLDER = re.compile(r"\{\w+\}")
"""As in `{split}/images`: a pattern of paths, which YAML would take for the start of a mapping."""
_SHIPPED = "recipes"
"""The installed package that holds the recipes; a path below a folder of this name may mean one of them."""


def read_recipe(path: Path | str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The recipe as plain data, includes merged and overrides applied.

    Raises SettingsError for a missing or unreadable file and for an override that does not fit.
    """
    values = _load(_found(Path(path)), seen=())
    for override in overrides:
        apply_override(values, override)
    return values


def training_part(values: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that describes training: the recipe without the sections of other stages."""
    return {key: value for key, value in values.items() if key not in SECTIONS}


def section(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The section of one stage, empty when the recipe has none."""
    return dict(values.get(name) or {})


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid upon `base`: mappings are merged key by key, everything else is replaced."""
    merged = deepcopy(dict(base))
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = deepcopy(value)
    return merged


def apply_override(values: dict[str, Any], override: str) -> None:
    """Apply one `key.sub=value` (value in YAML; list entries by index: `methods.0.weight=2`) in place."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise SettingsError(
            f"override {override!r} is not KEY=VALUE, as in data.root=/data/camvid or seed=1."
        )
    try:
        value = text if _PLACEHOLDER.search(text) else yaml.safe_load(text)
    except yaml.YAMLError as error:
        problem = yaml_problem(error)
        raise SettingsError(f"override {override!r}: the value is not YAML ({problem}).") from error
    _assign(values, key, value)


def _assign(values: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    node: Any = values
    for part in sections:
        if isinstance(node, dict) and node.get(part) is None:
            node[part] = {}
        node = node[_place(node, part, key)]
    node[_place(node, last, key)] = value


def _place(node: Any, part: str, key: str) -> str | int:
    """`part` as a key of the mapping or an index of the list that `node` is."""
    if isinstance(node, dict):
        return part
    if not isinstance(node, list):
        raise SettingsError(
            f"override {key}: {part!r} would lie inside the value {node!r}, which is no section."
        )
    if not part.isdigit() or int(part) >= len(node):
        raise SettingsError(
            f"override {key}: {part!r} is no entry of a list of {len(node)} (the first is 0)."
        )
    return int(part)


def yaml_problem(error: Exception) -> str:
    """What is wrong and where, in one line; the message itself of what is no YAML error."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return " ".join(str(error).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {getattr(error, 'problem', None) or 'not YAML'}"


def _found(path: Path) -> Path:
    """`path`, or the shipped recipe that `recipes/NAME.yaml` means where there is no such folder."""
    if path.exists() or path.parts[:1] != (_SHIPPED,):
        return path
    with importlib.resources.as_file(importlib.resources.files(_SHIPPED)) as folder:
        shipped = folder.joinpath(*path.parts[1:])
    return shipped if shipped.is_file() else path


def _load(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in seen:
        raise SettingsError(f"recipe {path} includes itself.")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"recipe {path} does not exist. The ones that ship are in recipes/.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"recipe {path} cannot be read: {yaml_problem(error)}.") from error
    if not isinstance(values, dict):
        raise SettingsError(f"recipe {path} must hold settings (KEY: VALUE), found {type(values).__name__}.")
    included = values.pop("include", None)
    if included is None:
        return values
    if not isinstance(included, str):
        raise SettingsError(f"recipe {path}: include is the path of one other recipe, got {included!r}.")
    return merge(_load(path.parent / included, (*seen, path.resolve())), values)
