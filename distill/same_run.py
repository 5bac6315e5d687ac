"""A run folder belongs to one set of settings.

Resuming it with others would give a result that no settings describe.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from distill.run import SETTINGS_FILE, read_json
from modelpack.errors import SegError, SettingsError
from modelpack.settings import StrictModel

WITHOUT_EFFECT = (
    "name",
    "output",
    "compute.workers",
    "compute.cache",
    "compute.save_every",
    "compute.log_every",
    "compute.gradients_every",
)
"""Settings that change where or how often something is written, never the weights."""


def refuse_other_settings(folder: Path, config: StrictModel) -> None:
    """Raises SettingsError, naming what differs, when `folder` holds a run with other settings."""
    path = folder / SETTINGS_FILE
    if not path.is_file():
        return
    there = settings_that_matter(with_new_settings(read_json(path), type(config)))
    asked = settings_that_matter(config.model_dump(mode="json"))
    differing = [
        f"{key} {there.get(key)!r} there, {asked.get(key)!r} asked"
        for key in sorted(there.keys() | asked.keys())
        if there.get(key) != asked.get(key)
    ]
    if differing:
        raise SettingsError(
            f"{folder} holds a run with other settings ({'; '.join(differing[:4])}"
            f"{'; ...' if len(differing) > 4 else ''}). Give another output=FOLDER, or remove that folder."
        )


def with_new_settings(values: dict[str, Any], model: type[StrictModel]) -> dict[str, Any]:
    """What has become a setting since the run began, at its default: what every run did before it was one.

    values: settings of `model` as a run folder keeps them; returned as they are where they no longer fit.
    """
    try:
        return model.model_validate(values).model_dump(mode="json")
    except (ValidationError, SegError):
        return values


def settings_that_matter(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted key -> value of everything that decides a run's weights; without methods no teacher does."""
    has_methods = bool(values.get("methods", True))  # pre-training has none, and learns from its teacher
    return {
        key: value
        for key, value in _flat(values)
        if key not in WITHOUT_EFFECT and (has_methods or key.partition(".")[0] != "teacher")
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
