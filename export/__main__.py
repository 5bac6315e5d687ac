"""`afdcd export VERB`: build, verify, inspect."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from modelpack import command
from modelpack.errors import UsageError
from modelpack.package import ModelPackage
from modelpack.recipe import apply_override, read_recipe, section
from modelpack.settings import parse_settings

app = command.new_app("export", "Turn a training run into a verified model package.")

Package = Annotated[Path, typer.Argument(metavar="PACKAGE", help="Folder of a model package.")]


@app.command()
def build(
    recipe_and_overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RECIPE] [KEY=VALUE]...",
            help="Recipe (YAML), then settings laid upon it (export.size=[360,480]).",
        ),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="Training run; without it OUTPUT/train of the recipe.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Package to make; without it OUTPUT/package of the recipe.")
    ] = None,
    as_json: command.AsJson = False,
) -> None:
    """Export, check against the PyTorch network, and write the package, whole or not at all."""
    values, source = _read(recipe_and_overrides or [])
    settings = _settings(values, run, out)
    from export.build import export_model
    from export.config import ExportConfig

    package = export_model(parse_settings(ExportConfig, settings, f"{source} (export)"))
    for claim in package.manifest.claims:
        command.show(
            f"{claim.artifact:>12}  {claim.name} {claim.value:.5f}  "
            f"({claim.dataset} {claim.split}, {claim.images} images)"
        )
    command.show(f"package {package.path}")
    claims = [claim.model_dump(mode="json") for claim in package.manifest.claims]
    command.finish({"package": str(package.path), "name": package.manifest.name, "claims": claims}, as_json)


@app.command()
def verify(
    package_dir: Package,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where the artifacts run.")] = "auto",
    as_json: command.AsJson = False,
) -> None:
    """Check every file against the manifest and answer the stored samples again."""
    from export.verify import verify as run_checks

    checks = run_checks(package_dir, device)
    for check in checks:
        command.show(f"{check.artifact:>12}  {check.sample}  agreement {check.agreement:.5f}")
    command.finish({"package": str(package_dir), "checks": [check.model_dump() for check in checks]}, as_json)


@app.command()
def inspect(package_dir: Package, as_json: command.AsJson = False) -> None:
    """Print what is in a package."""
    from export.inspect import describe

    package = ModelPackage.open(package_dir)
    command.show(describe(package))
    command.finish(package.manifest.model_dump(mode="json"), as_json)


def _read(words: list[str]) -> tuple[dict[str, Any], str]:
    """The recipe with its overrides, or the overrides alone, and what to call it in errors."""
    if words and "=" not in words[0]:
        return read_recipe(words[0], words[1:]), words[0]
    values: dict[str, Any] = {}
    for override in words:
        apply_override(values, override)
    return values, "command line"


def _settings(values: dict[str, Any], run: Path | None, out: Path | None) -> dict[str, Any]:
    """The recipe's `export` section with the folders filled in."""
    from distill.config import TrainConfig

    settings = section(values, "export")
    if "data" in values:  # a whole recipe, not overrides alone
        output = Path(values.get("output", TrainConfig.model_fields["output"].default))
        settings.setdefault("run_dir", output / "train")
        settings.setdefault("package_dir", output / "package")
        settings.setdefault("data_root", values["data"].get("root"))
    settings |= {key: path for key, path in (("run_dir", run), ("package_dir", out)) if path is not None}
    if "run_dir" not in settings or "package_dir" not in settings:
        raise UsageError("nothing to export: give a recipe, or --run RUN and --out PACKAGE.")
    return settings


def main() -> None:
    sys.exit(command.run(app, sys.argv[1:], "afdcd export"))


if __name__ == "__main__":
    main()
