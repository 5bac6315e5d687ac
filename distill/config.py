"""Settings of one training run, teacher or student. Defaults are the published recipe of Af-DCD."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SerializeAsAny,
    field_validator,
    model_validator,
)

from distill.datasets import DATASETS
from distill.datasets.dataset import DatasetSettings
from distill.methods import METHODS
from distill.methods.method import MethodSettings
from distill.quantisation.settings import QuantisationConfig
from modelpack.errors import SettingsError
from modelpack.preprocess import Normalisation
from modelpack.settings import StrictModel, parse_settings
from modelpack.tables import lookup

NORMALISATIONS = ("imagenet", "caffe_bgr")


class NetworkConfig(StrictModel):
    """One network and the weights it starts with."""

    network: str
    """A name of `NETWORKS` (`deeplabv3_resnet18`, ...) or `smp:ARCH/ENCODER`."""
    weights: Literal["imagenet"] | Path | None = None
    """Backbone weights: `imagenet`, or a file of the backbone's state dict."""
    init: Path | None = None
    """A checkpoint of the whole network to start from (own run folder, .safetensors or published .pth)."""
    normalisation: Literal["imagenet", "caffe_bgr"] | Normalisation | None = None
    """None: what the network was published with."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Extra arguments of an smp architecture (`decoder_channels`, ...)."""
    quantisation: QuantisationConfig | None = None
    """Train on with int8 weights and activations, from the weights of `init`; `{}` for its defaults."""

    @model_validator(mode="after")
    def _quantisation_starts_from_weights(self) -> Self:
        if self.quantisation is not None and self.init is None:
            raise ValueError(
                "quantisation fine-tunes a trained network; set init to the finished run to start from"
            )
        return self


class TeacherConfig(StrictModel):
    """The network that teaches, and how the chain trains one when there is no checkpoint."""

    network: str
    checkpoint: Path | None = None
    """Run folder, .safetensors or published .pth."""
    normalisation: Literal["imagenet", "caffe_bgr"] | Normalisation | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    min_miou: float | None = None
    """Smallest mIoU (percent) of a teacher worth learning from.

    None: a tenth of the way from the best constant answer to 100.
    """
    train: dict[str, Any] | None = None
    """Settings laid upon this recipe when the chain or `distill train --teacher` trains the teacher."""


class AugmentConfig(StrictModel):
    """Random scale, pad, crop, flip. Published order and values."""

    crop: tuple[PositiveInt, PositiveInt] = (360, 360)
    """(height, width) in pixels."""
    scale: tuple[PositiveFloat, PositiveFloat] = (0.5, 2.0)
    scale_step: float = Field(default=0.1, ge=0)
    """Scales are drawn from min, min + step, ..., max; 0 draws from the whole interval."""
    resize: tuple[PositiveInt, PositiveInt] | None = None
    """(height, width) that every image is brought to before the random scale. None: its own size."""
    flip: float = Field(default=0.5, ge=0, le=1)
    jitter: float = Field(default=0.0, ge=0, le=1)
    """Strength of brightness, contrast and saturation changes; the published recipe has none."""


class OptimConfig(StrictModel):
    """Optimiser and schedule."""

    name: Literal["sgd", "adamw"] = "sgd"
    lr: PositiveFloat = 0.02
    """Peak learning rate for the whole batch, not per image."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=1e-4, ge=0)
    decay_norm_and_bias: bool = True
    """The published recipe decays every parameter, norm scales and biases included."""
    steps: PositiveInt = 40_000
    """Optimiser steps."""
    batch: PositiveInt = 16
    """Images per optimiser step, over all processes and accumulation steps."""
    accumulate: PositiveInt = 1
    """Backward passes per optimiser step."""
    warmup_steps: NonNegativeInt = 0
    power: PositiveFloat = 0.9
    """Polynomial decay: lr * (1 - step / steps) ** power."""
    clip: Literal["adapters", "all", "none"] = "adapters"
    """What gradient clipping covers; the paper clips align and generator only."""
    clip_norm: PositiveFloat = 15.0
    aux_weight: float = Field(default=0.4, ge=0)
    """Weight of the auxiliary head's cross-entropy."""
    ema: float = Field(default=0.0, ge=0, lt=1)
    """Decay of an exponential moving average of the weights, evaluated and saved instead of them; 0 = off."""
    loss_mean: Literal["global", "local"] = "global"
    """Cross-entropy over the valid pixels of the global batch, or of each process's part (published)."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps ({self.warmup_steps}) must be below steps ({self.steps})")
        if self.batch % self.accumulate:
            raise ValueError(f"batch ({self.batch}) must be a multiple of accumulate ({self.accumulate})")
        return self


class EvaluationConfig(StrictModel):
    """When and on what the network is measured. Selection and reported number may use different splits."""

    every: PositiveInt = 800
    """Optimiser steps between evaluations; the last step is always evaluated."""
    select_on: Literal["val", "test", "last"] = "val"
    """The checkpoint with the best mIoU on this split is kept; `last` keeps the last one."""
    report_on: Literal["val", "test"] = "val"
    """Split of the final number."""
    size: tuple[PositiveInt, PositiveInt] | None = None
    """(height, width) that the network sees; its logits are brought to the label's size. None: native."""
    absent: Literal["skip", "zero"] = "skip"
    """A class in neither labels nor prediction: left out of the mean, or counted as 0 (published)."""
    batch: PositiveInt = 1
    max_images: PositiveInt | None = None
    """Only the first images of the selection split; the reported number always uses all."""

    @property
    def selection_split(self) -> Literal["val", "test"]:
        """The split that is measured along the run."""
        return self.report_on if self.select_on == "last" else self.select_on


class ComputeConfig(StrictModel):
    """Where and how the arithmetic runs. Changes speed, and results only by rounding."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Autocast type. auto: bf16 on CUDA and on CPUs that have it, else fp32."""
    channels_last: bool = True
    threads: NonNegativeInt = 0
    """CPU threads of torch; 0 = its own choice."""
    workers: NonNegativeInt = 0
    """Processes that read and augment; 0 = in the training process."""
    cache: bool = True
    """Keep decoded images in memory."""
    sync_norm: bool = True
    """Batch norm over all processes (DDP only)."""
    save_every: PositiveInt = 200
    """Optimiser steps between checkpoints to resume from."""
    log_every: PositiveInt = 20
    gradients_every: NonNegativeInt | None = None
    """Optimiser steps between measurements of the gradient norm that each loss term sends into the student,
    one backward pass for each term; 0: never. None: in the last step before each evaluation."""


class TrainConfig(StrictModel):
    """One training run."""

    name: str = "run"
    output: Path = Path("runs/run")
    """Folder of this recipe's results; the run goes to its sub-folder `train` (or `teacher`)."""
    seed: NonNegativeInt = 0
    data: SerializeAsAny[DatasetSettings]
    augment: AugmentConfig = AugmentConfig()
    student: NetworkConfig
    teacher: TeacherConfig | None = None
    methods: tuple[SerializeAsAny[MethodSettings], ...] = ()
    optim: OptimConfig = OptimConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    compute: ComputeConfig = ComputeConfig()

    @property
    def splits(self) -> tuple[str, ...]:
        """What the run reads of its dataset, each once."""
        evaluation = self.evaluation
        return tuple(dict.fromkeys(("train", evaluation.selection_split, evaluation.report_on)))

    @field_validator("data", mode="before")
    @classmethod
    def _dataset_of_the_table(cls, value: Any) -> Any:
        return _from_table(
            value, "data", "dataset", {name: entry.settings for name, entry in DATASETS.items()}
        )

    @field_validator("methods", mode="before")
    @classmethod
    def _methods_of_the_table(cls, value: Any) -> Any:
        table = {name: entry.settings for name, entry in METHODS.items()}
        if not isinstance(value, (list, tuple)):
            raise ValueError("methods is a list, as in [{name: kd}, {name: afdcd}]")
        return tuple(_from_table(item, f"methods.{i}", "method", table) for i, item in enumerate(value))

    @model_validator(mode="after")
    def _methods_have_a_teacher(self) -> Self:
        if self.methods and self.teacher is None:
            raise ValueError(
                f"methods {[m.name for m in self.methods]} need a teacher; add a `teacher:` section"
            )
        return self


def _from_table(value: Any, key: str, kind: str, table: dict[str, Any]) -> Any:
    if not isinstance(value, dict):
        return value
    if "name" not in value:
        raise SettingsError(f"{key}.name is required. Available: {', '.join(sorted(table))}.")
    return parse_settings(lookup(table, kind, str(value["name"])), value, key)
