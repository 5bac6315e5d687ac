"""CWD: every channel of the student's logits and features fires where the teacher's fires."""

from typing import Literal

from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from distill.losses.channel_wise import ChannelWiseForm, channel_wise
from distill.methods.grid import onto_grid_of
from distill.methods.method import Method, MethodSettings, Pair, StepContext
from distill.networks.output import SegOutput

ChannelAdapter = Literal["convolution", "convolution_norm_relu"]
"""Where widths differ: a 1x1 convolution without bias (CIRKD), or that with batch norm and ReLU (authors)."""
ChannelDivisor = Literal["published", "per_channel"]
"""The feature term's sum over channels is divided by the student's width before the adapter (`published`, by
CIRKD), or by the number of channels that are compared. They differ by the factor between the widths."""


class CwdSettings(MethodSettings):
    """Channel-wise distillation. Defaults are the values of CIRKD's comparison.

    It adds `kd` with weight 1 and `adversarial` with weight 0.001. The authors take logits alone with weight
    3, or features alone with weight 35 to 50; mmrazor takes logits with temperature 1 and weight 5.
    """

    name: Literal["cwd"] = "cwd"
    logits_weight: NonNegativeFloat = 3.0
    """0 leaves the logits out."""
    feature_weight: NonNegativeFloat = 50.0
    """0 leaves the feature out. SegFormer in CIRKD: 5, with 0.3 on the logits."""
    temperature: PositiveFloat = 4.0
    form: ChannelWiseForm = "divergence"
    student_feature: str = "head"
    teacher_feature: str = "head"
    adapter: ChannelAdapter = "convolution"
    divisor: ChannelDivisor = "published"

    def weights(self) -> dict[str, float]:
        weights = {"logits": self.logits_weight, "feature": self.feature_weight}
        return {term: weight for term, weight in weights.items() if weight > 0}

    def student_features(self) -> frozenset[str]:
        return frozenset({self.student_feature} if self.feature_weight > 0 else ())

    def teacher_features(self) -> frozenset[str]:
        return frozenset({self.teacher_feature} if self.feature_weight > 0 else ())


class Cwd(Method):
    """Holds the adapter of the student's feature, if it needs one."""

    def __init__(self, settings: CwdSettings, adapter: nn.Module) -> None:
        super().__init__()
        self.settings = settings
        self.adapter = adapter

    def forward(
        self, student: SegOutput, teacher: SegOutput, target: Tensor, context: StepContext
    ) -> dict[str, Tensor]:
        settings = self.settings
        terms = {}
        if settings.logits_weight > 0:
            logits = onto_grid_of(teacher.logits, student.logits, student=student, teacher=teacher)
            terms["logits"] = channel_wise(
                logits, teacher.logits, temperature=settings.temperature, form=settings.form
            )
        if settings.feature_weight > 0:
            feature = student.feature(settings.student_feature)
            taught = teacher.feature(settings.teacher_feature)
            adapted = onto_grid_of(taught, self.adapter(feature), student=student, teacher=teacher)
            terms["feature"] = channel_wise(
                adapted,
                taught,
                temperature=settings.temperature,
                form=settings.form,
                channels=feature.shape[1] if settings.divisor == "published" else None,
            )
        return terms


def build_cwd(settings: CwdSettings, pair: Pair) -> Cwd:
    if settings.feature_weight == 0:
        return Cwd(settings, nn.Identity())
    student, teacher = pair.student[settings.student_feature], pair.teacher[settings.teacher_feature]
    return Cwd(settings, _adapter(student.channels, teacher.channels, settings.adapter))


def _adapter(student_channels: int, teacher_channels: int, name: ChannelAdapter) -> nn.Module:
    if student_channels == teacher_channels:
        return nn.Identity()
    convolution = nn.Conv2d(student_channels, teacher_channels, kernel_size=1, bias=False)
    if name == "convolution":
        return convolution
    return nn.Sequential(convolution, nn.BatchNorm2d(teacher_channels), nn.ReLU())
