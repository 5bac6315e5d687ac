"""Build one plan: an ONNX graph in, a file for the runtime `tensorrt` and the proof of its precision out."""

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.errors import ExportError
from export.precision.proof import Precision, PrecisionProof
from export.precision.tensorrt_engine import prove_engine
from export.precision.tensorrt_network import prove_network
from export.tensorrt.builder_config import check_settings, new_builder_config, profile_shapes
from export.tensorrt.network import ParsedNetwork, parse
from export.tensorrt.progress import shown as progress_shown
from export.tensorrt.settings import TensorRTSettings
from export.tensorrt.timing_cache import load_timing_cache, save_timing_cache
from modelpack.atomic import sha256_file, write_bytes
from modelpack.errors import RuntimeUnavailableError
from modelpack.runtimes.cuda_libraries import missing_device
from modelpack.tensorrt.cuda_device import open_device
from modelpack.tensorrt.flavour import Flavour, find_flavour
from modelpack.tensorrt.messages import collected
from modelpack.tensorrt.plan_name import PORTABLE, PlanName

log = logging.getLogger(__name__)

OUT_OF_MEMORY = "OutOfMemory"
"""How TensorRT's message begins where the workspace is too small."""


@dataclass(frozen=True)
class BuiltPlan:
    """What the manifest is told of a plan."""

    name: PlanName
    proof: PrecisionProof
    details: dict[str, Any]


def plan_name(precision: Precision, settings: TensorRTSettings) -> PlanName:
    """What the plan will be called here; raises RuntimeUnavailableError where it cannot be built."""
    flavour = find_flavour(settings.flavour)
    check_settings(settings, flavour)
    return PlanName(
        precision, flavour.name, flavour.version, _target(flavour, settings), settings.version_compatible
    )


def build_plan(
    graph: Path,
    plan: Path,
    precision: Precision,
    settings: TensorRTSettings,
    *,
    kept_float32: Collection[str] = (),
) -> BuiltPlan:
    """Parse `graph`, prove what it computes in, build it and write `plan`.

    kept_float32: nodes of the graph that stay in float32 on purpose.
    Raises RuntimeUnavailableError without TensorRT (or without the GPU that it builds on), SettingsError for
    what it cannot do, ExportError for a graph or profile that it refuses.
    """
    name = plan_name(precision, settings)
    flavour = find_flavour(settings.flavour)
    begun = time.monotonic()
    log.info("building a %s plan of %s with %s", precision, graph.name, flavour.title)
    parsed = parse(flavour, graph)
    proof = prove_network(parsed, precision, kept_float32)
    proof.check(f"tensorrt-{precision}")
    content, warnings = _build(parsed, settings, precision)
    write_bytes(plan, content)
    details = {
        "flavour": flavour.name,
        "tensorrt_version": flavour.version,
        "target": name.target,
        "tensors": parsed.tensors(),
        "profiles": [[list(shape) for shape in shapes] for shapes in profile_shapes(parsed, settings)],
        "settings": settings.model_dump(mode="json"),
        "graph_sha256": sha256_file(graph),
        "build_seconds": round(time.monotonic() - begun, 3),
        "warnings": [*parsed.warnings, *warnings],
    }
    if missing_device() is None and (shown := prove_engine(plan, precision, kept_float32)) is not None:
        details["engine_precision"] = shown.model_dump(mode="json")
        proof = shown if shown.broken or shown.nodes >= proof.nodes else proof
    return BuiltPlan(name, proof, details)


def _build(
    parsed: ParsedNetwork, settings: TensorRTSettings, precision: Precision
) -> tuple[bytes, list[str]]:
    """(the plan, what TensorRT warned of); raises ExportError with its reason where it gives none."""
    flavour, builder = parsed.flavour, parsed.builder
    builder_config = new_builder_config(parsed, settings, precision)
    if settings.timing_cache is not None:
        load_timing_cache(builder_config, settings.timing_cache)
    with collected() as messages, progress_shown(flavour, builder_config, f"building {precision} plan"):
        host_memory = builder.build_serialized_network(parsed.network, builder_config)
    if host_memory is None:
        reason = messages.first_error("it does not say why")
        advice = (
            f"The limit is {settings.workspace_mib} MiB: raise export.tensorrt.workspace_mib."
            if settings.workspace_mib is not None and OUT_OF_MEMORY in reason
            else "Leave the tensorrt targets out of export.targets where the graph cannot be changed."
        )
        raise ExportError(f"{flavour.title} builds no {precision} plan: {reason}. {advice}")
    if settings.timing_cache is not None:
        save_timing_cache(builder_config, settings.timing_cache)
    return bytes(host_memory), messages.warnings


def _target(flavour: Flavour, settings: TensorRTSettings) -> str:
    """GPUs that the plan is for, as its name says."""
    if settings.compute_capabilities and "current" not in settings.compute_capabilities:
        return "_".join(settings.compute_capabilities)
    if flavour.name == "rtx" and not settings.compute_capabilities:
        return PORTABLE
    if settings.hardware_compatibility == "ampere_plus":
        return settings.hardware_compatibility
    if (reason := missing_device()) is not None:
        asked = "export.tensorrt.compute_capabilities=[current]" if flavour.name == "rtx" else flavour.title
        raise RuntimeUnavailableError(
            f"{asked} builds on the GPU that the plan is for: {reason}. TensorRT-RTX builds without one: "
            "`pip install 'afdcd[rtx]'`, export.tensorrt.flavour=rtx."
        )
    return "sm{}{}".format(*open_device().compute_capability)
