"""A hash that changes when a dataset does: of names and sizes of all files, and the start of each one."""

import hashlib

from distill.datasets.dataset import DatasetSettings

HEAD_BYTES = 1 << 16
"""Of every file; enough to notice a replaced image or mask without reading a large dataset whole."""


def data_version(settings: DatasetSettings) -> str:
    """Hex digest of settings and files below `root`; of the settings alone where there are no files."""
    digest = hashlib.sha256(settings.model_dump_json().encode())
    if settings.root is not None and settings.root.is_dir():
        for path in sorted(path for path in settings.root.rglob("*") if path.is_file()):
            digest.update(f"{path.relative_to(settings.root)}:{path.stat().st_size}".encode())
            with path.open("rb") as file:
                digest.update(file.read(HEAD_BYTES))
    return digest.hexdigest()
