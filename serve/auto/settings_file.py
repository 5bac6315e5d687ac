"""The choice as a file that `afdcd serve start FILE` reads: a recipe with a `serve` section alone."""

import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import yaml

from modelpack.atomic import write_text
from modelpack.cpu import read_cpu
from serve.settings import ServeSettings


def write_settings(path: Path, settings: ServeSettings, reasons: Iterable[str]) -> None:
    """All that differs from the defaults, with the reasons as comments; the package by its full path."""
    values = settings.model_dump(mode="json", exclude_defaults=True, exclude={"parent_pid"})
    values["package"] = str(settings.package.resolve())
    cpu = read_cpu()
    head = [
        f"afdcd serve start {path}",
        f"Measured {datetime.now(UTC).isoformat(timespec='minutes')} on {cpu.model}, {platform.machine()}:",
        *reasons,
    ]
    comments = "".join(f"# {line}".rstrip() + "\n" for line in head)
    write_text(path, comments + yaml.safe_dump({"serve": values}, sort_keys=False))
