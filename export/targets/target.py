"""What an export target is: one file in the package, and how closely it must answer as the reference does."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from export.config import ExportConfig, ParityRule


@dataclass(frozen=True)
class BuildContext:
    """All that a build may look at. Builds leave it as it is."""

    model: onnx.ModelProto
    """The deployed graph in float32."""
    config: ExportConfig
    calibration: Sequence[NDArray[np.uint8]]
    """Images that the network was trained on, each (1, H, W, 3) at the graph's input size, read on use."""
    graphs: Mapping[str, Path] = field(default_factory=dict)
    """ONNX files that were built and passed before, by target name."""
    keep_float32: frozenset[str] = frozenset()
    """Names of nodes of `model` that stay in float32, whatever the target's precision."""


Build = Callable[[BuildContext, Path], dict[str, Any]]
"""Writes the file at the path; gives details for the manifest."""


@dataclass(frozen=True)
class Target:
    """One way to ship the deployed graph."""

    build: Build
    file: str
    """Path in the package."""
    kind: Literal["onnx", "tensorrt"]
    precision: Literal["fp32", "fp16", "int8"]
    rule: ParityRule
    """The gate's thresholds where the recipe names none."""
