"""Write a Triton model repository: every artifact of a package as a model that Triton can load."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import jinja2

from export.triton.model_config import Backend, ModelConfig
from modelpack.errors import PackageError, UsageError
from modelpack.manifest import Artifact, Manifest
from modelpack.package import ModelPackage
from modelpack.staging import staged_folder

MAX_BATCH = 8
"""Images in one batch where nothing bounds it: the graphs take any number, memory does not."""
VERSION = "1"
"""Triton's number for the only version of each model; the package's own is among the parameters."""
README, MARKER = "README.md", "Triton model repository"
_PYTHON_MODEL = Path(__file__).with_name("python_backend.py")
_README_TEMPLATE = Path(__file__).with_name("readme.md.jinja")


@dataclass(frozen=True)
class TritonRepository:
    """What was written."""

    path: Path
    models: tuple[ModelConfig, ...]
    left_out: dict[str, str]
    """Artifact -> why Triton cannot load it."""


def write_triton_repository(
    package: ModelPackage, out: Path, *, max_batch: int = MAX_BATCH
) -> TritonRepository:
    """Make `out` from a package, whole or not at all; a repository that this function made is replaced.

    One model for each ONNX file and TensorRT plan, and one for the python backend, which serves the package's
    first ONNX file. Raises UsageError for a folder that is something else, PackageError for a package without
    ONNX files.
    """
    check_is_free(out)
    graphs = [artifact for artifact in package.manifest.artifacts if artifact.kind == "onnx"]
    if not graphs:
        raise PackageError(f"package {package.path} holds no ONNX file, and Triton is served with one.")
    models, left_out = [], {}
    with staged_folder(out) as folder:
        for artifact in package.manifest.artifacts:
            if (reason := _obstacle(artifact)) is not None:
                left_out[artifact.name] = reason
                continue
            backend: Backend = "onnxruntime" if artifact.kind == "onnx" else "tensorrt"
            config = _config(package.manifest, artifact, backend, max_batch)
            _write_model(folder, config, package.artifact_path(artifact.name))
            models.append(config)
        config = _config(package.manifest, graphs[0], "python", max_batch)
        _write_model(folder, config, package.artifact_path(graphs[0].name))
        models.append(config)
        repository = TritonRepository(out, tuple(models), left_out)
        (folder / README).write_text(_readme(package.manifest, repository), encoding="utf-8")
    return repository


def _obstacle(artifact: Artifact) -> str | None:
    if artifact.kind == "tensorrt" and artifact.details.get("flavour") == "rtx":
        return "it is a plan of TensorRT-RTX, and Triton's backend is TensorRT"
    return None


def _config(manifest: Manifest, artifact: Artifact, backend: Backend, max_batch: int) -> ModelConfig:
    suffix = "-python" if backend == "python" else ""
    file = {"onnxruntime": "model.onnx", "tensorrt": "model.plan", "python": "model.py"}[backend]
    profiles = artifact.details.get("profiles")  # of a plan: [smallest, most usual, largest] shapes
    most = profiles[0][-1][0] if profiles else max_batch  # Triton takes the first profile
    return ModelConfig(
        name=f"{manifest.name}-{artifact.name}{suffix}",
        backend=backend,
        file=file,
        max_batch_size=min(max_batch, most),
        inputs=manifest.inputs,
        outputs=manifest.outputs,
        parameters={
            "package": manifest.name,
            "package_version": manifest.version,
            "artifact": artifact.name,
            "artifact_sha256": artifact.sha256,
            "precision": artifact.precision,
            "classes": json.dumps(manifest.labels.names, ensure_ascii=False),
        },
        on_cpu=backend == "python",
    )


def _write_model(folder: Path, config: ModelConfig, artifact: Path) -> None:
    version = folder / config.name / VERSION
    version.mkdir(parents=True)
    (version.parent / "config.pbtxt").write_text(config.render(), encoding="utf-8")
    if config.backend == "python":
        shutil.copyfile(_PYTHON_MODEL, version / config.file)
        shutil.copyfile(artifact, version / "model.onnx")
    else:
        shutil.copyfile(artifact, version / config.file)


def _readme(manifest: Manifest, repository: TritonRepository) -> str:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(_README_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(manifest=manifest, repository=repository, marker=MARKER) + "\n"


def check_is_free(out: Path) -> None:
    """Raises UsageError where something stands that `write_triton_repository` did not make."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    readme = out / README
    if not (readme.is_file() and readme.read_text(encoding="utf-8").startswith(f"# {MARKER}")):
        raise UsageError(f"{out} exists and is no Triton repository of ours. Choose another folder.")
