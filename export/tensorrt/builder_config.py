"""Settings to TensorRT's builder configuration; what the installed TensorRT lacks is refused before work."""

from collections.abc import Mapping
from typing import Any

from export.errors import ExportError
from export.tensorrt.network import ParsedNetwork
from export.tensorrt.settings import TensorRTSettings
from export.tensorrt.shapes import Shape, full_shapes
from modelpack.errors import SettingsError
from modelpack.tensorrt.flavour import Flavour

_MIB = 1 << 20
_KEY = "export.tensorrt"
FLAGS_BY_PRECISION: Mapping[str, tuple[str, ...]] = {"fp32": (), "fp16": ("FP16",), "int8": ("INT8",)}
"""TensorRT 8 alone: flags that allow kernels of a precision. Later versions read it from the graph."""


def check_settings(settings: TensorRTSettings, flavour: Flavour) -> None:
    """Raises SettingsError for the first setting that this TensorRT cannot honour."""
    asked = {
        "timing_cache": settings.timing_cache is not None,
        "compute_capabilities": bool(settings.compute_capabilities),
        "hardware_compatibility": settings.hardware_compatibility != "none",
        "version_compatible": settings.version_compatible,
    }
    for feature, is_asked in asked.items():
        if is_asked:
            flavour.require(feature, f"{_KEY}.{feature}")
    for name in settings.compute_capabilities:
        _compute_capability(flavour, name)
    if "current" in settings.compute_capabilities and len(settings.compute_capabilities) > 1:
        raise SettingsError(
            f"{_KEY}.compute_capabilities: current stands alone, it is found on this machine."
        )


def new_builder_config(parsed: ParsedNetwork, settings: TensorRTSettings, precision: str) -> Any:
    """An `IBuilderConfig`; raises ExportError for profiles that the network does not have."""
    trt, flavour = parsed.flavour.trt, parsed.flavour
    builder = parsed.builder
    builder_config = builder.create_builder_config()
    builder_config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # for the proof of precision
    if settings.workspace_mib is not None:
        builder_config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, settings.workspace_mib * _MIB)
    for shapes in profile_shapes(parsed, settings):
        _add_profile(parsed, builder_config, shapes)
    if not flavour.has("strong_typing"):
        for name in _precision_flags(flavour, precision):
            builder_config.set_flag(getattr(trt.BuilderFlag, name))
    if settings.version_compatible:
        builder_config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if settings.hardware_compatibility != "none":
        level = getattr(trt.HardwareCompatibilityLevel, settings.hardware_compatibility.upper())
        builder_config.hardware_compatibility_level = level
    if settings.compute_capabilities:
        builder_config.num_compute_capabilities = len(settings.compute_capabilities)
        for index, name in enumerate(settings.compute_capabilities):
            builder_config.set_compute_capability(_compute_capability(flavour, name), index)
    return builder_config


def profile_shapes(
    parsed: ParsedNetwork, settings: TensorRTSettings
) -> tuple[tuple[Shape, Shape, Shape], ...]:
    """Of each profile: smallest, most usual and largest (N, H, W, C)."""
    image = parsed.image
    return tuple(full_shapes(profile, tuple(image.shape)) for profile in settings.profiles)


def _add_profile(parsed: ParsedNetwork, builder_config: Any, shapes: tuple[Shape, Shape, Shape]) -> None:
    image, builder = parsed.image, parsed.builder
    optimization_profile = builder.create_optimization_profile()
    optimization_profile.set_shape(image.name, *shapes)
    if builder_config.add_optimization_profile(optimization_profile) < 0:
        raise ExportError(
            f"{parsed.flavour.title} does not take the profile {shapes} for {image.name} "
            f"{tuple(image.shape)}. Change {_KEY}.profiles."
        )


def _precision_flags(flavour: Flavour, precision: str) -> tuple[str, ...]:
    if precision not in FLAGS_BY_PRECISION:
        raise ExportError(f"{flavour.title} has no {precision}. It has {', '.join(FLAGS_BY_PRECISION)}.")
    return FLAGS_BY_PRECISION[precision]


def _compute_capability(flavour: Flavour, name: str) -> Any:
    known = flavour.trt.ComputeCapability.__members__
    if name.upper() not in known:
        names = ", ".join(sorted(entry.lower() for entry in known if entry != "NONE"))
        raise SettingsError(f"{_KEY}.compute_capabilities: {flavour.title} has no {name}. It has {names}.")
    return known[name.upper()]
