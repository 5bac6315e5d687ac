"""KA: the student's adapted feature equals a code of the teacher's, and relates its places as that does.

Source: He et al., "Knowledge Adaptation for Efficient Semantic Segmentation", CVPR 2019. No code was
published; where sources differ the setting says which is which.
"""

from pathlib import Path
from typing import Literal, Self

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn

from distill.losses.adaptation import CodeUnit, Distance, adaptation
from distill.losses.affinity import AffinityForm, affinity
from distill.methods.autoencoder import Autoencoder, AutoencoderSettings
from distill.methods.grid import onto_grid_of
from distill.methods.method import Method, MethodSettings, Pair, StepContext
from distill.methods.preparation import PreparationPlan
from distill.networks.output import SegOutput


class KaSettings(MethodSettings):
    """Defaults: the paper's weights, on the scales that go with them.

    These are torchdistill's for the feature (`unit: map`) and the paper's for the affinity, whose rows are
    divided by the number of positions; torchdistill's affinity (`per_channel`) is another quantity.
    """

    name: Literal["ka"] = "ka"
    feature_weight: NonNegativeFloat = 50.0
    """0 leaves the feature's term out."""
    affinity_weight: NonNegativeFloat = 1.0
    """0 leaves the affinity out."""
    student_feature: str = "head"
    teacher_feature: str = "head"
    unit: CodeUnit = "map"
    """`position` is the paper's equation; it is larger by about channels times the root of positions."""
    distance: Distance = "l1"
    affinity: AffinityForm = "published"
    adapter_layers: PositiveInt = 1
    """3x3 convolutions, each with batch norm and ReLU, before the feature's term. One source has three."""
    autoencoder: AutoencoderSettings = AutoencoderSettings()
    """How it is trained before the student's first step."""
    autoencoder_from: Path | None = None
    """Folder of a finished one (`OUTPUT/prepared/ka-...` of a run), trained on the same teacher."""

    def weights(self) -> dict[str, float]:
        weights = {"feature": self.feature_weight, "affinity": self.affinity_weight}
        return {term: weight for term, weight in weights.items() if weight > 0}

    def student_features(self) -> frozenset[str]:
        return frozenset({self.student_feature})

    def teacher_features(self) -> frozenset[str]:
        return frozenset({self.teacher_feature})

    def preparation(self) -> PreparationPlan:
        return PreparationPlan(self.autoencoder, (self.teacher_feature,), self.autoencoder_from)


class Ka(Method):
    """Holds the frozen encoder and the adapters, which take the student's feature to the width of the code.

    Gradients of the feature's adapter depend on the batch by its norms: with several processes they equal
    those of one process where norms are synchronised (`compute.sync_norm`).
    """

    def __init__(self, settings: KaSettings, autoencoder: Autoencoder, student_channels: int) -> None:
        super().__init__()
        self.settings = settings
        self.encoder = autoencoder.encoder.requires_grad_(False)
        if settings.feature_weight > 0:
            self.adapter = _adapter(student_channels, autoencoder.width, settings.adapter_layers)
        if settings.affinity_weight > 0:
            self.affinity_adapter = nn.Conv2d(student_channels, autoencoder.width, kernel_size=3, padding=1)

    def train(self, mode: bool = True) -> Self:
        """The encoder's norms keep the statistics that it was trained with."""
        super().train(mode)
        self.encoder.eval()
        return self

    def forward(
        self, student: SegOutput, teacher: SegOutput, target: Tensor, context: StepContext
    ) -> dict[str, Tensor]:
        settings = self.settings
        with torch.no_grad():
            code: Tensor = self.encoder(teacher.feature(settings.teacher_feature))
        feature = onto_grid_of(
            code, student.feature(settings.student_feature), student=student, teacher=teacher
        )
        terms = {}
        if settings.feature_weight > 0:
            terms["feature"] = adaptation(
                self.adapter(feature), code, unit=settings.unit, distance=settings.distance
            )
        if settings.affinity_weight > 0:
            terms["affinity"] = affinity(self.affinity_adapter(feature), code, form=settings.affinity)
        return terms


def prepare_ka(settings: KaSettings, pair: Pair) -> Autoencoder:
    """The auto-encoder as it is before it has learned anything."""
    channels = pair.teacher[settings.teacher_feature].channels
    return Autoencoder(channels, settings.autoencoder, settings.teacher_feature)


def build_ka(settings: KaSettings, pair: Pair) -> Ka:
    assert isinstance(pair.prepared, Autoencoder)
    return Ka(settings, pair.prepared, pair.student[settings.student_feature].channels)


def _adapter(before: int, after: int, layers: int) -> nn.Sequential:
    widths = (before, *(after for _ in range(layers)))
    modules: list[nn.Module] = []
    for index in range(layers):
        convolution = nn.Conv2d(widths[index], widths[index + 1], kernel_size=3, padding=1, bias=False)
        modules += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*modules)
