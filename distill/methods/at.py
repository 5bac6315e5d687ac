"""AT: the student's attention, its activity summed over channels, follows the teacher's."""

from typing import Literal

from pydantic import NonNegativeFloat
from torch import Tensor

from distill.losses.attention import attention_transfer
from distill.methods.grid import onto_grid_of
from distill.methods.method import Method, MethodSettings, Pair, StepContext
from distill.networks.output import SegOutput


class AtSettings(MethodSettings):
    """Attention transfer. Defaults are the values of CIRKD's comparison, which adds `kd` with weight 1."""

    name: Literal["at"] = "at"
    weight: NonNegativeFloat = 1e4
    student_feature: str = "head"
    teacher_feature: str = "head"

    def weights(self) -> dict[str, float]:
        return {"attention": self.weight}

    def student_features(self) -> frozenset[str]:
        return frozenset({self.student_feature})

    def teacher_features(self) -> frozenset[str]:
        return frozenset({self.teacher_feature})


class At(Method):
    """Trains nothing of its own: attention has no channels."""

    def __init__(self, settings: AtSettings) -> None:
        super().__init__()
        self.settings = settings

    def forward(
        self, student: SegOutput, teacher: SegOutput, target: Tensor, context: StepContext
    ) -> dict[str, Tensor]:
        taught = teacher.feature(self.settings.teacher_feature)
        feature = student.feature(self.settings.student_feature)
        resized = onto_grid_of(taught, feature, student=student, teacher=teacher)
        return {"attention": attention_transfer(resized, taught)}


def build_at(settings: AtSettings, pair: Pair) -> At:
    return At(settings)
