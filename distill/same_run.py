"""A run folder belongs to one set of settings: resuming with others would give a result that no settings describe."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from distill.config import TrainConfig
from distill.run import SETTINGS_FILE
from modelpack.errors import SettingsError

WITHOUT_EFFECT = ("name", "output", "compute.workers", "compute.cache", "compute.save_every", "compute.log_every")
"""Settings that change where or how often something is written, never the weights."""


def refuse_other_settings(folder: Path, config: TrainConfig) -> None:
    """Raises SettingsError, naming what differs, when `folder` holds a run with other settings."""
    path = folder / SETTINGS_FILE
    if not path.is_file():
        return
    there = dict(_flat(json.loads(path.read_text(encoding="utf-8"))))
    asked = dict(_flat(config.model_dump(mode="json")))
    differing = [
        f"{key} {there.get(key)!r} there, {asked.get(key)!r} asked"
        for key in sorted(there.keys() | asked.keys())
        if there.get(key) != asked.get(key) and key not in WITHOUT_EFFECT
    ]
    if differing:
        raise SettingsError(
            f"{folder} holds a run with other settings ({'; '.join(differing[:4])}"
            f"{'; ...' if len(differing) > 4 else ''}). Give another output=FOLDER, or remove that folder."
        )


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
