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
    details: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What the builds of those files gave for the manifest."""
    keep_float32: frozenset[str] = frozenset()
    """Names of nodes of `model` that stay in float32, whatever the target's precision."""
    measured: dict[str, Any] = field(default_factory=dict)
    """What a build measured on the calibration images, for the next build of the same graph."""


Build = Callable[[BuildContext, Path], dict[str, Any]]
"""Writes the file at the path; gives details for the manifest."""


@dataclass(frozen=True)
class Target:
    """One way to ship the deployed graph."""

    build: Build
    file: str | Callable[[ExportConfig], str]
    """Path in the package. A function where it tells what this machine has; that one raises
    RuntimeUnavailableError for what is missing."""
    kind: Literal["onnx", "tensorrt"]
    precision: Literal["fp32", "fp16", "int8"]
    rule: ParityRule
    """The gate's thresholds where the recipe names none."""
    graph: str | None = None
    """Target whose ONNX file this one is built from: it is built and judged before, packed or not."""

    def path_in_package(self, config: ExportConfig) -> str:
        return self.file if isinstance(self.file, str) else self.file(config)
