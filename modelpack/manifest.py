"""`manifest.json`: everything a consumer may rely on, typed and versioned."""

from typing import Any, Final, Literal, Self

from pydantic import Field, model_validator

from modelpack.labels import LabelSet
from modelpack.preprocess import Normalisation, Resizing
from modelpack.settings import StrictModel

FORMAT_VERSION: Final = 1

TensorType = Literal["uint8", "float16", "float32"]


class TensorSpec(StrictModel):
    """One input or output of the deployed graph."""

    name: str
    dtype: TensorType
    shape: tuple[int | str, ...]
    """Fixed sizes as numbers, dynamic ones by name: ("batch", 360, 480, 3)."""


class Artifact(StrictModel):
    """One file that can answer: the graph in one precision for one kind of runtime."""

    name: str
    """Unique in the package: `onnx-fp32`, `onnx-int8`, ..."""
    path: str
    """Relative to the package folder."""
    kind: Literal["onnx", "tensorrt"]
    precision: Literal["fp32", "fp16", "bf16", "int8"]
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size_bytes: int
    details: dict[str, Any] = Field(default_factory=dict)
    """What made it: opset, exporter version, TensorRT flavour, compute capability, proof of precision."""
    is_verified: bool = True
    """False: built on a machine that cannot run it (a TensorRT plan without a GPU), so never measured."""


class SampleFile(StrictModel):
    """A real image and the mask that the reference network produced for it, replayed by the service."""

    image: str
    mask: str
    """PNG label map at the model's input size."""
    image_sha256: str
    mask_sha256: str


class Claim(StrictModel):
    """One measured figure and all it needs to be believed."""

    name: str
    """`miou`, `agreement`, ..."""
    value: float
    artifact: str
    """The artifact's name, or `reference`."""
    dataset: str
    split: str
    images: int
    image_size: tuple[int, int]
    """(height, width) the network saw."""
    device: str


class Manifest(StrictModel):
    """The contract between export and everyone after it."""

    format_version: Literal[1] = FORMAT_VERSION
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    version: str = "1"
    created: str
    """UTC, ISO 8601."""
    labels: LabelSet
    normalisation: Normalisation
    """For the record: it is inside the graph."""
    resizing: Resizing
    size_multiple: int = 1
    """With dynamic sizes: what heights and widths must be a multiple of."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    artifacts: tuple[Artifact, ...]
    samples: tuple[SampleFile, ...] = ()
    lineage: dict[str, Any] = Field(default_factory=dict)
    """Where it came from: network, run settings, dataset, teacher, code version, hashes."""
    claims: tuple[Claim, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [artifact.name for artifact in self.artifacts]
        if not names:
            raise ValueError("a package holds at least one artifact")
        if len(set(names)) != len(names):
            raise ValueError(f"artifact names must differ: {', '.join(names)}")
        return self
