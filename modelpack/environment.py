"""Where a number was measured and by which code: the two things a result file must not be without."""

import hashlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from modelpack.cpu import ARITHMETIC, read_cpu, usable_cores

SOURCE_PACKAGES = ("modelpack", "distill", "export", "bench", "serve")
REPORTED_PACKAGES = (
    "afdcd", "albumentations", "fastapi", "mlcommons-loadgen", "numpy", "onnx", "onnxruntime",
    "onnxruntime-gpu", "onnxscript", "opencv-python-headless", "openvino", "pydantic",
    "segmentation-models-pytorch", "simplejpeg", "tensorrt", "tensorrt-rtx", "timm", "torch", "torchvision",
    "uvicorn",
)  # fmt: skip
REPORTED_CPU_FLAGS = (
    "avx2",
    "avx512f",
    "asimd",
    "sve",
    *chain.from_iterable(map(sorted, ARITHMETIC.values())),
)
"""Those that decide how fast networks run: width of the registers, and small types it computes in."""
_SOURCE_SUFFIXES = frozenset({".py", ".jinja", ".html", ".css", ".js"})

_ROOT = Path(__file__).resolve().parent.parent
_COMMAND_TIMEOUT_S = 5.0
_VERSION_DIGITS = 16


def fingerprint() -> dict[str, Any]:
    """The machine, the software and the code, as plain JSON types. Imports none of the packages it reports.

    `git` is null outside a checkout and `gpu` an empty list without `nvidia-smi`.
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpu": _gpus(),
        "packages": _versions(),
        "code": code_version(),
        "git": _git(),
    }


@cache
def code_version(packages: tuple[str, ...] = SOURCE_PACKAGES) -> str:
    """Package version and a hash over every source file of `packages`, as in `0.1.0+3f5a...`.

    Changes with any edit, so the chain can tell whether a finished stage was made by the code that is here
    now.
    """
    digest = hashlib.sha256()
    for package in packages:
        for file in sorted(f for f in (_ROOT / package).rglob("*") if f.suffix in _SOURCE_SUFFIXES):
            digest.update(file.relative_to(_ROOT).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    version = _versions().get("afdcd", "0")
    return f"{version}+{digest.hexdigest()[:_VERSION_DIGITS]}"


def _cpu() -> dict[str, Any]:
    """Model, usable cores, flags of the first core, and the types that it computes in faster than in fp32."""
    cpu = read_cpu()
    return {
        "model": cpu.model,
        "cores": usable_cores(),
        "flags": [flag for flag in REPORTED_CPU_FLAGS if flag in cpu.flags],
        "arithmetic": [precision for precision in ARITHMETIC if cpu.computes_in(precision)],
    }


def _gpus() -> list[dict[str, str]]:
    lines = _output("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
    keys = ("name", "memory", "driver")
    rows = [line.split(", ") for line in (lines or "").splitlines()]
    return [dict(zip(keys, row, strict=True)) for row in rows if len(row) == len(keys)]


def _versions() -> dict[str, str]:
    installed = {}
    for name in REPORTED_PACKAGES:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed


def _git() -> dict[str, Any] | None:
    """Commit and whether the working tree differs from it; None where the code is no checkout of its own."""
    if not (_ROOT / ".git").exists():
        return None
    commit = _output("git", "-C", str(_ROOT), "rev-parse", "HEAD")
    status = _output("git", "-C", str(_ROOT), "status", "--porcelain")
    if commit is None or status is None:
        return None
    return {"commit": commit, "is_dirty": bool(status)}


def _output(*command: str) -> str | None:
    """What a command printed, or None where it is missing, fails or takes too long."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
