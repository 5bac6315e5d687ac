"""A hash that changes when a dataset does: of names and sizes of all files, and the start of each one."""

import hashlib

from distill.data_list import add_file
from distill.datasets.dataset import DatasetSettings


def data_version(settings: DatasetSettings) -> str:
    """Hex digest of settings and files below `root`; of the settings alone where there are no files."""
    digest = hashlib.sha256(settings.model_dump_json().encode())
    if settings.root is not None and settings.root.is_dir():
        for path in sorted(path for path in settings.root.rglob("*") if path.is_file()):
            add_file(digest, path, str(path.relative_to(settings.root)))
    return digest.hexdigest()
