"""Settings of one pre-training: the recipe's section `pretrain`, and what it shares with training.

Defaults are the published recipe of PCD (ImageNet, 100 epochs of batches of 1024).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SerializeAsAny,
    model_validator,
)

from distill.config import ComputeConfig, NetworkConfig, TrainConfig
from distill.datasets.dataset import DatasetSettings
from distill.pretrain.pairing import Pairing
from distill.pretrain.views import ViewsConfig
from modelpack.recipe import section, training_part
from modelpack.settings import StrictModel, parse_settings

SECTION = "pretrain"
"""Of the recipe."""


class PretrainTeacherConfig(StrictModel):
    """The frozen network whose map is learned: one of our own runs, or a backbone with weights."""

    run: Path | None = None
    """Folder of a finished segmentation run of this project."""
    network: str | None = None
    """`timm:NAME` or `torchvision:NAME`, for a backbone of theirs."""
    weights: Literal["imagenet"] | Path | None = None
    """Of that backbone: `imagenet`, or a file of a state dict."""
    prefix: str = ""
    """What stands before the backbone's names in that file, as in `momentum_encoder.`."""
    head: str | None = None
    """Where in that file the projection head's layers lie, as in `momentum_encoder.fc`. None: no head."""
    feature: str = "stage4"
    """Of our own run's network."""

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Self:
        if (self.run is None) == (self.network is None):
            raise ValueError(
                "the teacher is either one of our runs (run: FOLDER) or a backbone (network: timm:NAME or "
                "torchvision:NAME); give one of them"
            )
        if self.run is not None and self.weights is not None:
            raise ValueError("a teacher with run brings its weights; leave weights out")
        if self.network is not None and self.weights is None:
            raise ValueError("a teacher without weights knows nothing; give weights: imagenet or a file")
        if self.head is not None and not isinstance(self.weights, Path):
            raise ValueError("head names layers in a file of weights; give weights: FILE")
        return self


class PretrainOptimConfig(StrictModel):
    """Optimiser and schedule: warm-up, then half a cosine."""

    name: Literal["lars", "sgd", "adamw"] = "lars"
    lr: PositiveFloat = 1.0
    """Peak learning rate of a batch of 256 images; a batch of B has lr * B / 256."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=1e-5, ge=0)
    """Of matrices and kernels; norms and biases have none."""
    trust: PositiveFloat = 1e-3
    """LARS: a step's length as a share of the weights' length."""
    steps: PositiveInt = 125_000
    batch: PositiveInt = 1024
    """Images per optimiser step, over all processes."""
    warmup_steps: NonNegativeInt = 12_500

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps ({self.warmup_steps}) must be below steps ({self.steps})")
        return self

    @property
    def peak_lr(self) -> float:
        return self.lr * self.batch / 256


class PretrainConfig(StrictModel):
    """One pre-training. Everything above `teacher` is the recipe's own."""

    name: str
    output: Path
    """The result goes to its sub-folder `pretrain`."""
    seed: NonNegativeInt
    data: SerializeAsAny[DatasetSettings]
    """The recipe's, or the section's own `data`; labels are not looked at."""
    student: NetworkConfig
    compute: ComputeConfig
    teacher: PretrainTeacherConfig
    feature: str = "stage4"
    """Of the student's backbone."""
    views: ViewsConfig = ViewsConfig()
    pairing: Pairing = "grid"
    temperature: PositiveFloat = 0.2
    queue: PositiveInt = 65_536
    """Vectors in the queue, one per image; at least a batch."""
    hidden: PositiveInt = 4096
    """Width of the hidden layers of projection and prediction."""
    attention_heads: NonNegativeInt = 8
    """Of the attention between the student's pixels; 0: none, as in the published code."""
    optim: PretrainOptimConfig = PretrainOptimConfig()

    @model_validator(mode="after")
    def _holds_a_batch(self) -> Self:
        if self.queue < self.optim.batch:
            raise ValueError(f"queue ({self.queue}) must hold a batch ({self.optim.batch})")
        return self


def pretrain_config(values: Mapping[str, Any], source: str) -> PretrainConfig:
    """From a whole recipe. Raises SettingsError for what does not fit, in the section or in the recipe.

    `student.init` and `student.quantisation` belong to the training that follows.
    """
    own, training = section(values, SECTION), training_part(values)
    training["data"] = own.pop("data", training.get("data"))
    recipe = parse_settings(TrainConfig, training, source)
    shared = {
        "name": recipe.name,
        "output": recipe.output,
        "seed": recipe.seed,
        "data": recipe.data,
        "student": recipe.student.model_copy(update={"init": None, "quantisation": None}),
        "compute": recipe.compute,
    }
    return parse_settings(PretrainConfig, {**own, **shared}, f"{source} ({SECTION})")
