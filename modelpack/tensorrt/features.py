"""What only some versions of TensorRT have, with the names that each of these things needs.

Every other name that this project uses is in all versions of `LOOKED_AT`. A test holds both against tables of
the names in those versions; it says nothing of how they behave.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

FlavourName = Literal["tensorrt", "rtx"]

LOOKED_AT: dict[str, FlavourName] = {
    "8.5.3.1": "tensorrt",
    "10.13.3.9": "tensorrt",
    "10.16.1.11": "tensorrt",
    "11.0.0.114": "tensorrt",
    "11.4.0.106": "tensorrt",
    "1.7.1.116": "rtx",
}
"""Version -> flavour."""
_RTX = ("1.7.1.116",)
_UP_TO_10 = ("8.5.3.1", "10.13.3.9", "10.16.1.11")
_SINCE_10 = ("10.13.3.9", "10.16.1.11", "11.0.0.114", "11.4.0.106")


@dataclass(frozen=True)
class Feature:
    """Names that may be used only where `Flavour.has` says so."""

    what: str
    """In words, for errors."""
    names: Mapping[str, tuple[str, ...]]
    """Class -> members."""
    versions: tuple[str, ...]
    """Those of `LOOKED_AT` that have it."""
    flavours: tuple[FlavourName, ...] = ("tensorrt", "rtx")
    """Where it works. The other flavour may carry the names all the same, with nothing behind them."""

    def is_in(self, trt: Any, flavour: FlavourName) -> bool:
        return flavour in self.flavours and all(
            hasattr(getattr(trt, owner, None), member)
            for owner, members in self.names.items()
            for member in members
        )


FEATURES: dict[str, Feature] = {
    "strong_typing": Feature(
        "precision from the graph's own types",
        {"NetworkDefinitionCreationFlag": ("STRONGLY_TYPED",)},
        (*_SINCE_10, *_RTX),
    ),
    "explicit_batch": Feature(
        "a network flag for a dynamic batch",
        {"NetworkDefinitionCreationFlag": ("EXPLICIT_BATCH",)},
        _UP_TO_10,
    ),
    "precision_flags": Feature("precision from builder flags", {"BuilderFlag": ("FP16", "INT8")}, _UP_TO_10),
    "error_nodes": Feature(
        "parser errors that name their node",
        {"ParserError": ("node_name", "node_operator")},
        (*_SINCE_10, *_RTX),
    ),
    "progress": Feature(
        "progress of a build",
        {
            "IBuilderConfig": ("progress_monitor",),
            "IProgressMonitor": ("phase_start", "step_complete", "phase_finish"),
        },
        (*_SINCE_10, *_RTX),
    ),
    "timing_cache": Feature(
        "a timing cache",
        {
            "IBuilderConfig": ("create_timing_cache", "set_timing_cache", "get_timing_cache"),
            "ITimingCache": ("serialize",),
        },
        ("8.5.3.1", *_SINCE_10),
        ("tensorrt",),
    ),
    "version_compatible": Feature(
        "plans that later versions load",
        {"BuilderFlag": ("VERSION_COMPATIBLE",), "Runtime": ("engine_host_code_allowed",)},
        _SINCE_10,
        ("tensorrt",),
    ),
    "hardware_compatibility": Feature(
        "plans for other GPUs than the one at hand",
        {
            "IBuilderConfig": ("hardware_compatibility_level",),
            "HardwareCompatibilityLevel": ("AMPERE_PLUS", "SAME_COMPUTE_CAPABILITY"),
        },
        _SINCE_10,
        ("tensorrt",),
    ),
    "compute_capabilities": Feature(
        "plans for compute capabilities that are named",
        {
            "IBuilderConfig": ("num_compute_capabilities", "set_compute_capability"),
            "ComputeCapability": ("CURRENT",),
        },
        _RTX,
        ("rtx",),
    ),
    "engine_validity": Feature(
        "a verdict on a plan before it is loaded",
        {
            "Runtime": ("get_engine_validity",),
            "EngineValidity": ("INVALID", "SUBOPTIMAL"),
            "EngineInvalidityDiagnostics": ("MALFORMED_ENGINE",),
        },
        _RTX,
        ("rtx",),
    ),
    "runtime_cache": Feature(
        "a cache of what is compiled at run time",
        {
            "ICudaEngine": ("create_runtime_config",),
            "IRuntimeConfig": ("create_runtime_cache", "set_runtime_cache"),
            "IRuntimeCache": ("deserialize", "serialize"),
        },
        _RTX,
        ("rtx",),
    ),
    "capture_question": Feature(
        "a context that says whether it can be captured",
        {"IExecutionContext": ("is_stream_capturable",)},
        _RTX,
        ("rtx",),
    ),
    "memory_size_64": Feature(
        "the device memory of a context, in 64 bits",
        {"ICudaEngine": ("device_memory_size_v2",)},
        (*_SINCE_10, *_RTX),
    ),
    "memory_size_32": Feature(
        "the device memory of a context", {"ICudaEngine": ("device_memory_size",)}, _UP_TO_10
    ),
}
