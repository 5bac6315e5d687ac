"""`afdcd serve start PACKAGE`, `afdcd serve check PACKAGE` and `afdcd serve key FILE NAME`."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer

from modelpack.command import AsJson, Overrides, finish, new_app, run, show
from modelpack.errors import UsageError
from modelpack.recipe import apply_override, read_recipe, section
from modelpack.settings import parse_settings
from serve.keys import Scope, add_key
from serve.model import load_model
from serve.server import run_server
from serve.settings import ServeSettings

logger = logging.getLogger(__name__)

PACKAGE_FOLDER = "package"
"""Where the chain puts the package, inside the `output` of a recipe."""

app = new_app("serve", "Answer images with masks over HTTP.")

Package = Annotated[
    Path, typer.Argument(help="Folder of a model package, or the recipe (.yaml) that made one.")
]


@app.command()
def start(
    package: Package,
    overrides: Overrides = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on (127.0.0.1).")] = None,
    port: Annotated[int | None, typer.Option(help="Port (8000); 0 takes any free one.")] = None,
    auto: Annotated[
        bool,
        typer.Option("--auto", help="Measure for some seconds first: runtime, workers, threads; says why."),
    ] = False,
    write: Annotated[
        Path | None,
        typer.Option(help="With --auto: file for the choice, which `serve start FILE` reads."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve a package until SIGTERM; prints the URL when its samples were replayed."""
    options = {"host": host, "port": port}
    settings = read_settings(
        package, overrides or (), {key: value for key, value in options.items() if value is not None}
    )
    if write is not None and not auto:
        raise UsageError("--write is for what --auto chooses; add --auto.")
    if auto:
        settings = choose_settings(settings, write)

    def on_ready(url: str) -> None:
        show(f"ready: {url}   (documentation: {url}/docs)")
        show(f"try:   curl -F image=@photo.jpg '{url}/v1/segment?format=overlay' -o overlay.jpg")
        finish({"url": url}, as_json)

    run_server(settings, on_ready)


@app.command()
def check(package: Package, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Open a package, verify its checksums and replay its samples, without serving it."""
    settings = read_settings(package, overrides or (), {})
    begun = perf_counter()
    model, replay = load_model(settings)
    model.runtime.close()
    total_s = perf_counter() - begun
    show(
        f"{model.title} {model.artifact.name} on {model.runtime.provider}: {replay}; ready in {total_s:.2f} s"
    )
    finish(
        {
            "model": model.title,
            "artifact": model.artifact.name,
            "provider": model.runtime.provider,
            "agreements": replay.agreements,
            "infer_ms": replay.infer_ms,
            "ready_s": total_s,
        },
        as_json,
    )


@app.command()
def key(
    file: Annotated[Path, typer.Argument(help="The service's key file (serve.keys); made where it is not.")],
    name: Annotated[str, typer.Argument(help="Whose key it is, for logs and for revoking it.")],
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What it may do; may be repeated. infer alone without it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key and print it once: the file keeps its hash only. Delete its line to revoke it."""
    scopes = scope or [Scope.INFER]
    secret = add_key(file, name, scopes)
    if as_json:
        finish({"name": name, "scopes": scopes, "key": secret}, as_json)
    else:
        show(secret)


def choose_settings(settings: ServeSettings, write: Path | None) -> ServeSettings:
    """What was measured to do most here, told and on request written. Raises TrialError."""
    from serve.auto.choose import choose
    from serve.auto.settings_file import write_settings

    choice = choose(settings, lambda text: logger.info("%s", text))
    chosen = choice.settings(settings)
    lines = tuple(choice.lines())
    show("\n".join(lines))
    if write is not None:
        write_settings(write, chosen, lines)
        show(f"written: {write}   (afdcd serve start {write})")
    return chosen


def read_settings(package: Path, overrides: Sequence[str], options: dict[str, Any]) -> ServeSettings:
    """Defaults, then a recipe's `serve:` section, then overrides, then the options of the command line."""
    values: dict[str, Any] = {"package": package}
    if package.suffix in (".yaml", ".yml"):
        recipe = read_recipe(package)
        folder = (
            section(recipe, "export").get("package_dir") or Path(recipe.get("output", ".")) / PACKAGE_FOLDER
        )
        values = {"package": folder, **section(recipe, "serve")}
    for override in overrides:
        apply_override(values, override)
    return parse_settings(ServeSettings, {**values, **options}, "serve")


def main() -> None:
    sys.exit(run(app, sys.argv[1:], "afdcd serve"))


if __name__ == "__main__":
    main()
