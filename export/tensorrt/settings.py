"""Settings of TensorRT plans."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from modelpack.settings import StrictModel

Range = tuple[PositiveInt, PositiveInt, PositiveInt]
"""Smallest, most usual (kernels are chosen for it) and largest size."""
ComputeCapability = Annotated[str, Field(pattern=r"^(sm\d{2,3}|current)$")]


class ShapeProfile(StrictModel):
    """Shapes of the image that a plan has kernels for."""

    batch: Range = (1, 4, 8)
    height: Range | None = None
    """None: the graph's own height, which must then be fixed."""
    width: Range | None = None
    """None: the graph's own width, which must then be fixed."""

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        for axis in ("batch", "height", "width"):
            sizes = getattr(self, axis)
            if sizes is not None and list(sizes) != sorted(sizes):
                raise ValueError(
                    f"{axis} must be [smallest, most usual, largest] in ascending order, got {list(sizes)}"
                )
        return self


class TensorRTSettings(StrictModel):
    """How plans are built. What the installed TensorRT cannot do is an error, never ignored."""

    flavour: Literal["auto", "tensorrt", "rtx"] = "auto"
    """`tensorrt` builds on the GPU that the plan is for, `rtx` (TensorRT-RTX) on any machine. `auto`: the
    first of the two that is installed."""
    profiles: tuple[ShapeProfile, ...] = Field(default=(ShapeProfile(),), min_length=1)
    """Each has kernels of its own; the runtime takes the one that fits a batch best."""
    workspace_mib: PositiveInt | None = None
    """Most device memory that kernels may use besides weights and activations. None: TensorRT's own limit."""
    timing_cache: Path | None = None
    """File with measured kernel times, read if it is there and written after each build (`tensorrt` only)."""
    compute_capabilities: tuple[ComputeCapability, ...] = ()
    """GPU generations as in [sm86, sm120], or [current] (`rtx` only). Empty: all that it has by default."""
    hardware_compatibility: Literal["none", "ampere_plus", "same_compute_capability"] = "none"
    """Whether the plan runs on other GPUs than the one it was built on (`tensorrt` 8.6 and later)."""
    version_compatible: bool = False
    """Whether later versions load the plan (`tensorrt` 8.6 and later). It is larger and may be slower."""
