"""`afdcd export VERB`: build, verify, promote, inspect, keygen, sign, triton."""

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
    triton_dir: Annotated[
        Path | None, typer.Option("--triton", help="Also write a Triton model repository, there.")
    ] = None,
    as_json: command.AsJson = False,
) -> None:
    """Export, check against the PyTorch network, and write the package, whole or not at all."""
    values, source = _read(recipe_and_overrides or [])
    settings = _settings(values, run, out)
    from export.build import export_model
    from export.config import ExportConfig
    from export.triton.repository import check_is_free, write_triton_repository

    if triton_dir is not None:
        check_is_free(triton_dir)
    package = export_model(parse_settings(ExportConfig, settings, f"{source} (export)"))
    for claim in package.manifest.claims:
        command.show(
            f"{claim.artifact:>12}  {claim.name} {claim.value:.5f}  "
            f"({claim.dataset} {claim.split}, {claim.images} images)"
        )
    command.show(f"package {package.path}")
    if triton_dir is not None:
        write_triton_repository(package, triton_dir)
        command.show(f"Triton repository {triton_dir}")
    claims = [claim.model_dump(mode="json") for claim in package.manifest.claims]
    command.finish({"package": str(package.path), "name": package.manifest.name, "claims": claims}, as_json)


@app.command()
def verify(
    package_dir: Package,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where the artifacts run.")] = "auto",
    trusted_key: Annotated[
        list[str] | None,
        typer.Option(help="Public key (or its file) that must have signed the package; may be repeated."),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Also measure the claimed mIoU again.")] = False,
    data_root: Annotated[
        Path | None, typer.Option(help="Where the dataset lies now (implies --full).")
    ] = None,
    as_json: command.AsJson = False,
) -> None:
    """Try everything that a package promises on this machine: files, graphs, precision, claims, samples."""
    from export.verify import verify as run_checks

    found = run_checks(
        package_dir,
        device=device,
        trusted_keys=trusted_key or (),
        full=full or data_root is not None,
        data_root=data_root,
    )
    command.show(str(found))
    command.finish(found.model_dump(mode="json"), as_json)
    found.raise_if_failed()


@app.command()
def promote(
    package_dir: Package,
    run: Annotated[Path | None, typer.Option(help="Where the training run lies now.")] = None,
    data_root: Annotated[Path | None, typer.Option(help="Where the dataset lies now.")] = None,
    as_json: command.AsJson = False,
) -> None:
    """Put what a package never ran (plans built without a GPU) through the gate here."""
    from export.promote import promote as run_gate

    before = ModelPackage.open(package_dir).manifest.artifacts
    promoted = [artifact.name for artifact in before if not artifact.is_verified]
    package = run_gate(package_dir, run, data_root)
    command.show(f"package {package.path}: {', '.join(promoted)} verified here")
    command.finish(
        {"package": str(package.path), "promoted": promoted, "manifest_sha256": package.manifest_sha256},
        as_json,
    )


@app.command()
def inspect(package_dir: Package, as_json: command.AsJson = False) -> None:
    """Print what is in a package and where it came from."""
    from export.inspect import describe

    package = ModelPackage.open(package_dir)
    command.show(describe(package))
    manifest = package.manifest.model_dump(mode="json")
    command.finish({"manifest_sha256": package.manifest_sha256, **manifest}, as_json)


@app.command()
def keygen(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Private key to write; FILE.pub goes beside.")],
    as_json: command.AsJson = False,
) -> None:
    """Make a key pair to sign packages with."""
    from modelpack.signature import PUBLIC_SUFFIX, new_key

    public = new_key(file)
    command.show(f"private key {file} (readable by you alone), public key {file}{PUBLIC_SUFFIX}\n{public}")
    command.finish({"private_key": str(file), "public_key": public}, as_json)


@app.command()
def sign(
    package_dir: Package,
    key: Annotated[Path, typer.Option(metavar="FILE", help="Private key made by `keygen`.")],
    as_json: command.AsJson = False,
) -> None:
    """Sign a package, so that `serve.trusted_keys` and `verify --trusted-key` accept it."""
    from modelpack.signature import sign_package

    signature = sign_package(package_dir, key)
    command.show(f"package {package_dir} is signed by {signature.public_key}")
    command.finish({"package": str(package_dir), "public_key": signature.public_key}, as_json)


@app.command()
def triton(
    package_dir: Package,
    out: Annotated[Path, typer.Option(help="Folder of the model repository to make.")],
    max_batch: Annotated[int, typer.Option(min=1, help="Most images that Triton puts into one batch.")] = 8,
    as_json: command.AsJson = False,
) -> None:
    """Write a model repository for NVIDIA's Triton server."""
    from export.triton.repository import write_triton_repository

    repository = write_triton_repository(ModelPackage.open(package_dir), out, max_batch=max_batch)
    for model in repository.models:
        command.show(f"{model.name}  ({model.backend}, batch up to {model.max_batch_size})")
    for name, reason in repository.left_out.items():
        command.show(f"{name}  left out: {reason}")
    command.show(f"repository {out}")
    models = [model.name for model in repository.models]
    command.finish({"repository": str(out), "models": models, "left_out": repository.left_out}, as_json)


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
