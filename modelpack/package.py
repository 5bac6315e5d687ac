"""The model package on disk: opened and checked by every consumer, written whole or not at all by export."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from modelpack.atomic import sha256_file, write_bytes, write_json, write_text
from modelpack.errors import PackageError, SettingsError
from modelpack.manifest import FORMAT_VERSION, Artifact, Manifest, SampleFile
from modelpack.png import decode_png_labels, encode_png_labels
from modelpack.settings import parse_settings
from modelpack.staging import staged_folder
from modelpack.tables import lookup, resolve

MANIFEST_NAME = "manifest.json"
SIGNATURE_NAME = "manifest.sig.json"
_CHECK_SIGNATURE = "modelpack.signature:check_signature"
"""Brings a package for cryptography, which only those need who ask for signatures."""
_REMEDY = "Copy the package again, or build it again with `afdcd export build RECIPE`."


@dataclass(frozen=True)
class ModelPackage:
    """A package folder whose manifest was read and, unless asked otherwise, whose files were checked."""

    path: Path
    manifest: Manifest
    manifest_sha256: str
    """Of the manifest's bytes, which name the sha256 of everything else: it stands for the whole package."""
    signed_by: str | None = None
    """The trusted key that signed it; None where nobody asked."""

    @classmethod
    def open(cls, path: Path | str, *, verify: bool = True, trusted_keys: Sequence[str] = ()) -> Self:
        """Read the manifest and check size and sha256 of every artifact and sample.

        With `trusted_keys` (public keys, or files that hold one) one of them must have signed the manifest,
        and `verify` is always on. Raises PackageError for a missing or damaged package, an unknown format
        version, and for files outside the folder (these even with `verify=False`); SignatureError for what no
        trusted key signed.
        """
        path = Path(path)
        content = _read_bytes(path)
        signed_by: str | None = None
        if trusted_keys:
            signed_by = resolve(_CHECK_SIGNATURE)(path, content, trusted_keys)
        package = cls(path, _parse(path, content), hashlib.sha256(content).hexdigest(), signed_by)
        for artifact in package.manifest.artifacts:
            package.check_artifact(artifact, reads=verify or bool(trusted_keys))
        for sample in package.manifest.samples:
            package.check_sample(sample, reads=verify or bool(trusted_keys))
        return package

    def check_artifact(self, artifact: Artifact, *, reads: bool = True) -> None:
        """Raises PackageError where its file is missing, outside the folder or, if `reads`, damaged."""
        self._check(artifact.path, artifact.sha256, artifact.size_bytes, reads)

    def check_sample(self, sample: SampleFile, *, reads: bool = True) -> None:
        """The same for an image and its mask."""
        self._check(sample.image, sample.image_sha256, None, reads)
        self._check(sample.mask, sample.mask_sha256, None, reads)

    def artifact(self, name: str | None = None) -> Artifact:
        """The artifact called `name`; None means the first. Raises UnknownNameError."""
        if name is None:
            return self.manifest.artifacts[0]
        return lookup({artifact.name: artifact for artifact in self.manifest.artifacts}, "artifact", name)

    def artifact_path(self, name: str | None = None) -> Path:
        return self.path / self.artifact(name).path

    def samples(self) -> Iterator[tuple[SampleFile, bytes, NDArray[np.uint8]]]:
        """Each sample with its encoded image and its mask, (H, W) class indices."""
        for sample in self.manifest.samples:
            mask_hw = decode_png_labels((self.path / sample.mask).read_bytes())
            yield sample, (self.path / sample.image).read_bytes(), mask_hw

    def _check(self, relative: str, sha256: str, size_bytes: int | None, verify: bool) -> None:
        file = _inside(self.path, relative)
        if not file.is_file():
            raise PackageError(f"package {self.path}: {relative} is missing. {_REMEDY}")
        if not verify:
            return
        found_bytes = file.stat().st_size
        if size_bytes is not None and found_bytes != size_bytes:
            raise PackageError(
                f"package {self.path}: {relative} is damaged: it has {found_bytes} bytes, the manifest says "
                f"{size_bytes}. {_REMEDY}"
            )
        found = sha256_file(file)
        if found != sha256:
            raise PackageError(
                f"package {self.path}: {relative} is damaged: its sha256 is {found[:12]}..., "
                f"the manifest says {sha256[:12]}.... {_REMEDY}"
            )


@dataclass
class PackageWriter:
    """Fills the folder of a package that is being made; see `new_package`."""

    folder: Path
    """Where the caller puts the files of its artifacts. Not the final place."""
    _artifacts: list[Artifact] = field(default_factory=list)
    _samples: list[SampleFile] = field(default_factory=list)

    def add_artifact(
        self,
        name: str,
        path_in_folder: str,
        *,
        kind: Literal["onnx", "tensorrt"],
        precision: Literal["fp32", "fp16", "bf16", "int8"],
        details: Mapping[str, Any] | None = None,
        is_verified: bool = True,
    ) -> Artifact:
        """Hash and list a file that the caller wrote to `folder / path_in_folder`."""
        file = _inside(self.folder, path_in_folder)
        if not file.is_file():
            raise PackageError(f"artifact {name!r}: {path_in_folder} was not written to {self.folder}.")
        artifact = Artifact(
            name=name,
            path=path_in_folder,
            kind=kind,
            precision=precision,
            sha256=sha256_file(file),
            size_bytes=file.stat().st_size,
            details=dict(details or {}),
            is_verified=is_verified,
        )
        self._artifacts.append(artifact)
        return artifact

    def add_sample(self, image_bytes: bytes, suffix: str, mask_hw: NDArray[np.uint8]) -> SampleFile:
        """Store an encoded image (`suffix` as in ".jpg") and the reference's mask, (H, W) class indices."""
        stem = f"samples/{len(self._samples):03d}"
        mask_bytes = encode_png_labels(mask_hw)
        sample = SampleFile(
            image=f"{stem}-image{suffix}",
            mask=f"{stem}-mask.png",
            image_sha256=hashlib.sha256(image_bytes).hexdigest(),
            mask_sha256=hashlib.sha256(mask_bytes).hexdigest(),
        )
        write_bytes(self.folder / sample.image, image_bytes)
        write_bytes(self.folder / sample.mask, mask_bytes)
        self._samples.append(sample)
        return sample

    def write_text(self, relative: str, text: str) -> None:
        """A report or the model card; folders on the way are made."""
        write_text(_inside(self.folder, relative), text)

    def write_manifest(self, **fields: Any) -> Manifest:
        """Write the manifest with everything added so far; `fields` are the rest of `Manifest`."""
        own = {
            "format_version": FORMAT_VERSION,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "artifacts": tuple(self._artifacts),
            "samples": tuple(self._samples),
        }
        manifest = parse_settings(Manifest, {**fields, **own}, "manifest")
        write_json(self.folder / MANIFEST_NAME, manifest.model_dump(mode="json"))
        return manifest


@contextmanager
def new_package(path: Path | str, *, replace: bool = False) -> Iterator[PackageWriter]:
    """Write a package at `path`, whole or not at all: an exception or a kill leaves `path` as it was.

    With `replace`, a package that stands there is kept until the new one is complete. Raises PackageError for
    a path that is taken, and for a package that would not open.
    """
    path = Path(path)
    _check_is_free(path, replace)
    with staged_folder(path) as folder:
        yield PackageWriter(folder)
        if not (folder / MANIFEST_NAME).is_file():
            raise PackageError(
                f"package {path} was left without a manifest; call write_manifest() before the end."
            )
        ModelPackage.open(folder)
        _check_is_free(path, replace)


def _check_is_free(path: Path, replace: bool) -> None:
    if not path.exists():
        return
    if not (path / MANIFEST_NAME).is_file():
        raise PackageError(
            f"{path} exists and is no model package, so it is not replaced. Choose another folder."
        )
    if not replace:
        raise PackageError(
            f"package {path} exists. Choose another folder, or set replace=true to replace it."
        )


def _read_bytes(path: Path) -> bytes:
    file = path / MANIFEST_NAME
    if not path.is_dir():
        raise PackageError(f"there is no model package at {path}. `afdcd export build RECIPE` makes one.")
    if not file.is_file():
        raise PackageError(f"{path} is no model package: it holds no {MANIFEST_NAME}.")
    try:
        return file.read_bytes()
    except OSError as error:
        raise PackageError(f"{file} cannot be read: {error}. {_REMEDY}") from error


def _parse(path: Path, content: bytes) -> Manifest:
    file = path / MANIFEST_NAME
    try:
        values = json.loads(content.decode())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise PackageError(f"{file} cannot be read: {error}. {_REMEDY}") from error
    version = values.get("format_version") if isinstance(values, dict) else None
    if version != FORMAT_VERSION:
        raise PackageError(
            f"{file} has format_version {version!r}, this version of afdcd reads {FORMAT_VERSION}. "
            "Build the package again, or install the version of afdcd that wrote it."
        )
    try:
        return parse_settings(Manifest, values, str(file))
    except SettingsError as error:
        raise PackageError(f"{error} {_REMEDY}") from error


def _inside(folder: Path, relative: str) -> Path:
    """`folder / relative`; raises PackageError where that leaves the folder."""
    file = folder / relative
    if not file.resolve().is_relative_to(folder.resolve()):
        raise PackageError(f"package {folder}: path {relative!r} leaves the folder. Do not use this package.")
    return file
