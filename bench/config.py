"""Settings of one latency measurement, and how a recipe or a list of package folders becomes one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from modelpack.errors import SettingsError, UsageError
from modelpack.recipe import apply_override, section
from modelpack.settings import StrictModel, parse_settings

Boundary = Literal["graph", "image"]

BOUNDARIES: dict[Boundary, str] = {
    "graph": "runtime.run on a ready uint8 array in host memory; copies to and from the device are inside",
    "image": "encoded image → decode → resize → graph → mask at the image's size → PNG",
}
"""What the clock includes, per boundary."""

LOAD_SECTION = "load"
"""Part of a recipe's `bench` section that belongs to `bench load`."""
SERVICE_SECTION = "service"
"""Likewise for `bench serve`."""
PACKAGE_FOLDERS = {"teacher": "package-teacher", "student": "package"}
"""Where a recipe's packages lie below its `output`, by label. The first one there is the baseline."""


class WarmUpConfig(StrictModel):
    """Unrecorded runs before the first sample: until the time per run stands still, or the cap is reached."""

    window_runs: PositiveInt = 5
    """Runs per window, at least."""
    window_seconds: float = Field(default=0.1, ge=0)
    """A window of quick runs goes on for this long."""
    windows: int = Field(default=3, ge=2)
    """Consecutive windows that must agree."""
    tolerance: PositiveFloat = 0.03
    """Largest distance between the medians of those windows, relative to the smallest."""
    min_seconds: float = Field(default=0.5, ge=0)
    """At least this long: slow calls that come in a row are stationary too."""
    max_seconds: PositiveFloat = 20.0
    """Cap; a case that reaches it is measured all the same and said to be noisy."""


class BenchConfig(StrictModel):
    """One measurement: packages x artifacts x runtimes x threads, at every boundary and batch size."""

    packages: dict[str, Path] = Field(min_length=1)
    """Label -> package folder. The first is the baseline that the others are compared with."""
    artifacts: Literal["first", "best", "all"] | tuple[str, ...] = "first"
    """Names in the manifest; `first` of the manifest; `best`: what the loader opens on this machine when none
    is named, in the runtime that it chooses."""
    runtimes: tuple[str, ...] = Field(default=("onnxruntime",), min_length=1)
    """Names of the runtimes table; not asked with artifacts=best."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: tuple[NonNegativeInt, ...] = Field(default=(0,), min_length=1)
    """CPU threads of the runtime; 0 = its own choice."""
    boundaries: tuple[Boundary, ...] = Field(default=("graph", "image"), min_length=1)
    """`image` is measured at the smallest batch size only: it is the life of one request."""
    batch_sizes: tuple[PositiveInt, ...] = Field(default=(1, 2, 4, 8), min_length=1)
    images: Path | None = None
    """Folder of images to measure with. None: the samples of the first package that has some, else noise."""
    input_size: tuple[PositiveInt, PositiveInt] | None = None
    """(height, width) for graphs of dynamic size. None: the size of the first image."""
    seconds: PositiveFloat = 5.0
    """Recorded time per case, over all rounds."""
    samples: PositiveInt | None = None
    """Recorded runs per case, over all rounds, in place of `seconds`."""
    rounds: int = Field(default=10, ge=3)
    """Every round visits every case, so that drift of the machine hits all alike."""
    settle_runs: NonNegativeInt = 2
    """Unrecorded runs at the start of each visit: the caches belonged to another case."""
    stage_runs: NonNegativeInt = 3
    """Runs at the end of each visit that are split into stages (copies, graph) and not recorded otherwise."""
    warm_up: WarmUpConfig = WarmUpConfig()
    seed: NonNegativeInt = 0
    """Order of the cases within a round, bootstrap, and noise images."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name in ("runtimes", "threads", "boundaries", "batch_sizes"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"{name} {list(values)} holds a value twice")
        if self.samples is not None and self.samples < self.rounds:
            raise ValueError(
                f"samples ({self.samples}) must be at least rounds ({self.rounds}): one run per visit"
            )
        if not self.artifacts:
            raise ValueError("artifacts is empty; name some, or write first, best or all")
        return self


def from_recipe(values: Mapping[str, Any], source: str) -> BenchConfig:
    """The `bench` section of a recipe; packages default to those that stand below the recipe's `output`."""
    settings = section(values, "bench")
    for other in (LOAD_SECTION, SERVICE_SECTION):
        settings.pop(other, None)
    if not settings.get("packages"):
        output = output_folder(values)
        found = {label: output / name for label, name in PACKAGE_FOLDERS.items() if (output / name).is_dir()}
        if not found:
            raise UsageError(
                f"{source}: there is no package in {output}. Build one with `afdcd export build {source}`, "
                "or name package folders."
            )
        settings["packages"] = found
    return parse_settings(BenchConfig, settings, f"{source}, section bench")


def from_packages(folders: Sequence[Path], overrides: Sequence[str]) -> BenchConfig:
    """Settings for package folders named by hand; labels are the shortest paths that tell them apart.

    Overrides are keys of this section, with or without `bench.` before them.
    """
    settings: dict[str, Any] = {"packages": dict(_labelled(folders))}
    for override in overrides:
        apply_override(settings, override.removeprefix("bench."))
    return parse_settings(BenchConfig, settings, "bench settings")


def check_recipe_override(override: str) -> None:
    """Raises UsageError for a key of this section that lacks the section's name: it would change nothing."""
    first = override.partition("=")[0].partition(".")[0]
    if first in BenchConfig.model_fields and first != "seed":
        raise UsageError(f"override {override!r}: in a recipe this setting is bench.{override}")


def output_folder(values: Mapping[str, Any]) -> Path:
    """A recipe's `output`: where its stages leave their results."""
    return Path(str(values.get("output") or "runs/run"))


def _labelled(folders: Sequence[Path]) -> list[tuple[str, Path]]:
    """Labels are the last parts of the resolved paths, as many as it takes for them to differ."""
    resolved = [folder.resolve() for folder in folders]
    if len(set(resolved)) != len(resolved):
        raise SettingsError(f"a package is named twice: {', '.join(str(folder) for folder in folders)}.")
    for count in range(1, max(len(path.parts) for path in resolved) + 1):
        labels = ["/".join(path.parts[-count:]) for path in resolved]
        if len(set(labels)) == len(labels):
            break
    return list(zip(labels, folders, strict=True))
