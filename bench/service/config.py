"""Settings of one comparison of the service, and how a recipe or a package folder becomes one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from bench.config import SERVICE_SECTION, output_folder
from modelpack.recipe import apply_override, read_recipe, section
from modelpack.settings import StrictModel, parse_settings

RECIPE_SUFFIXES = (".yaml", ".yml")
PACKAGE_FOLDER, OUT_FOLDER = "package", "service"
"""Below a recipe's output; results of a package without a recipe lie beside it."""


class ServiceConfig(StrictModel):
    """One comparison."""

    package: Path
    """Model package that all of them serve."""
    serve: dict[str, Any] = Field(default_factory=dict)
    """Settings of our service, as `afdcd serve start` takes them."""
    images: Path | None = None
    """Folder of images, sent in turn. None: the package's samples as JPEG, else one generated photograph."""
    rounds: int = Field(default=6, ge=2)
    """Each visits every contestant under every load, in an order that rotates."""
    seconds: PositiveFloat = 4.0
    """Recorded time of one visit."""
    warm_up_seconds: NonNegativeFloat = 1.0
    """Load of the same kind before that, not recorded."""
    open_share: float = Field(default=0.5, gt=0, lt=1)
    """Rate of the open loop, of what our service answers with 16 clients."""
    in_process: tuple[tuple[PositiveInt, PositiveInt], ...] = Field(default=(), max_length=4)
    """(processes, threads in each) that do the same work without HTTP; the best is what counts. Empty: one
    process with a thread for each core, and a process with one thread for each core."""
    int8: bool = True
    """Also our service with the package's verified int8 artifact, where it has one."""
    shadow: dict[str, Any] | None = None
    """Also our service with a shadow beside its answers, by its settings: `package`, `share` and so on."""
    timeout_seconds: PositiveFloat = 10.0
    """Of one request; then the client hangs up."""
    seed: NonNegativeInt = 0
    """Arrival times, bootstrap and generated image."""


def read_service_config(subject: Path, overrides: Sequence[str]) -> tuple[ServiceConfig, Path]:
    """(settings, default folder of the results) for a package folder or the recipe that made one.

    Overrides are keys of these settings, with or without `bench.service.` before them.
    """
    values: dict[str, Any] = {"package": subject}
    source, folder = "service settings", subject.resolve().parent / OUT_FOLDER
    if subject.suffix in RECIPE_SUFFIXES:
        recipe = read_recipe(subject)
        output = output_folder(recipe)
        values = {"package": output / PACKAGE_FOLDER, **(section(recipe, "bench").get(SERVICE_SECTION) or {})}
        source, folder = f"{subject}, section bench.{SERVICE_SECTION}", output / OUT_FOLDER
    for override in overrides:
        apply_override(values, override.removeprefix("bench.").removeprefix(f"{SERVICE_SECTION}."))
    return parse_settings(ServiceConfig, values, source), folder
