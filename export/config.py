"""Settings of one export."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from export.int8_settings import Int8Settings
from export.tensorrt.settings import TensorRTSettings
from modelpack.settings import StrictModel

Fraction = Annotated[float, Field(ge=0, le=1)]
Side = Annotated[int, Field(ge=32)]


class ParityRule(StrictModel):
    """What an artifact must hold against the reference. None: not asked. The defaults are `onnx-fp32`'s."""

    min_agreement: Fraction | None = 0.999
    """Smallest share of pixels whose class is the reference's."""
    min_agreement_confident: Fraction | None = 0.9999
    """The same outside low-margin pixels, where rounding may decide."""
    max_miou_difference_points: NonNegativeFloat | None = 0.1
    """Largest difference of dataset mIoU to the reference, up or down, in points (0-100)."""
    min_miou_share: Fraction | None = None
    """Smallest share of the reference's mIoU that the artifact keeps."""
    max_class_loss_points: NonNegativeFloat | None = None
    """Most points of IoU that any one class may lose."""
    max_logit_error: NonNegativeFloat | None = 1e-3
    """Largest difference of a logit, as a share of the reference's largest absolute logit."""
    max_logit_noise: NonNegativeFloat | None = 0.25
    """Root mean square of the logits' errors as a share of that of the logits, between classes."""
    max_edge_shift_px: NonNegativeFloat | None = 0.2
    """How far edges between classes may lie off to one side, or off the centre, on the whole. Up and down it
    may be three times as much: scenes have an up and a down."""
    max_siding: Fraction | None = 2 / 3
    """In how many of the pixels that tell a usual mistake (BGR, a wrong mean, another resize rule) from the
    reference the artifact may answer as the mistake would. Noise takes no side."""
    max_confidence_error: Fraction | None = 0.05
    """Largest mean error of the `confidence` output on an image."""

    def overridden_by(self, other: "ParityRule") -> "ParityRule":
        """The same rule with the fields that were written down in `other`."""
        said = other.model_fields_set & ParityRule.model_fields.keys()
        return self.model_copy(update={key: getattr(other, key) for key in said})


class ParityConfig(ParityRule):
    """The accuracy gate.

    Rules written here hold for every target, those in `rules` for one; both win over the target's own.
    """

    split: Literal["train", "val", "test"] = "val"
    max_images: PositiveInt | None = None
    """Only the first images of the split. None: all."""
    logit_images: PositiveInt = 16
    """Images, spread over the split, on which logits are compared too."""
    low_margin: NonNegativeFloat = 0.1
    """A pixel is low-margin where the reference's two largest logits are no further apart than this."""
    worst_images: NonNegativeInt = 4
    """How many of the images with the lowest agreement are kept as pictures."""
    rules: dict[str, ParityRule] = Field(default={})
    """Target name -> rule."""

    def rule_for(self, target: str, default: ParityRule) -> ParityRule:
        return default.overridden_by(self).overridden_by(self.rules.get(target, ParityRule()))


class RescueConfig(StrictModel):
    """What happens when an fp16 or int8 graph misses its rule: layers are kept in float32 until it holds."""

    enabled: bool = True
    max_kept_share: Annotated[float, Field(gt=0, le=0.5)] = 0.25
    """Most layers that may stay in float32, as a share of all. With more, the precision is a name only."""
    images: PositiveInt = 8
    """Calibration images on which each layer's sensitivity is measured: so many runs for each layer."""


class ExportConfig(StrictModel):
    """One training run to one package."""

    run_dir: Path
    """Folder of the finished training run."""
    data_root: Path | None = None
    """Where the run's dataset lies now. None: where it was when the run was trained."""
    package_dir: Path
    """The package that is made. Its reports go to `<package_dir>.rejected` when the gate refuses."""
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Model name, as the service shows it. None: the run's name."""
    version: str = "1"
    replace: bool = False
    """Whether a package that stands at `package_dir` may be replaced."""
    targets: tuple[str, ...] = ("onnx-fp32",)
    """Names of `TARGETS`, checked in this order; the first is what consumers load by default."""
    size: tuple[Side, Side] | Literal["dynamic"] | None = None
    """(height, width) of the graph's input. None: the run's evaluation size, or the size that all images of
    the gate's split have; where they differ, dynamic."""
    filter: Literal["bilinear", "area"] = "bilinear"
    """How images are brought to a fixed size."""
    confidence: bool = False
    """Also give the probability of the chosen class."""
    logits: bool = False
    """Also give the logits at the image's size (4 bytes per pixel and class)."""
    opset: Annotated[int, Field(ge=18, le=22)] = 18
    """ONNX operator set; 18 is what the exporter writes, higher ones are converted from it."""
    samples: Annotated[int, Field(ge=1, le=16)] = 3
    """Real images that go into the package with the reference's masks."""
    calibration_images: PositiveInt = 128
    """Images spread over the training split that show int8 targets the range of every tensor."""
    int8: Int8Settings = Int8Settings()
    parity: ParityConfig = ParityConfig()
    rescue: RescueConfig = RescueConfig()
    tensorrt: TensorRTSettings = TensorRTSettings()
    device: Literal["cpu", "cuda"] = "cpu"
    """Where reference and artifacts run while they are compared."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.targets or len(set(self.targets)) != len(self.targets):
            raise ValueError(f"targets must name at least one target, each once; got {list(self.targets)}")
        for target in self.parity.rules:
            if target not in self.targets:
                raise ValueError(
                    f"parity.rules names {target!r}, which is not among targets {list(self.targets)}"
                )
        return self
