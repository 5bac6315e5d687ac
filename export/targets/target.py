"""What an export target is: one file in the package, and how closely it must answer as the reference does."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnx

from export.config import ParityRule

Build = Callable[[onnx.ModelProto, Path], dict[str, Any]]
"""(deployed graph in float32, file to write) -> details for the manifest. Leaves the graph as it is."""


@dataclass(frozen=True)
class Target:
    """One way to ship the deployed graph."""

    build: Build
    file: str
    """Path in the package."""
    kind: Literal["onnx"]
    precision: Literal["fp32", "fp16"]
    rule: ParityRule
    """The gate's thresholds where the recipe names none."""
