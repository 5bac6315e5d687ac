"""FitNet: the student's feature, through a 1x1 convolution, becomes the teacher's."""

from typing import Literal

from pydantic import NonNegativeFloat
from torch import Tensor, nn

from distill.losses.hint import hint
from distill.methods.grid import onto_grid_of
from distill.methods.method import Method, MethodSettings, Pair, StepContext
from distill.networks.output import SegOutput


class FitNetSettings(MethodSettings):
    """Hint learning. Defaults are the values of CIRKD's comparison, which adds `kd` with weight 1.

    Trained with the task from the first step, where the original trains the hint first.
    """

    name: Literal["fitnet"] = "fitnet"
    weight: NonNegativeFloat = 10.0
    student_feature: str = "head"
    teacher_feature: str = "head"

    def weights(self) -> dict[str, float]:
        return {"hint": self.weight}

    def student_features(self) -> frozenset[str]:
        return frozenset({self.student_feature})

    def teacher_features(self) -> frozenset[str]:
        return frozenset({self.teacher_feature})


class FitNet(Method):
    """Holds the convolution, which has no bias and is there for equal widths too."""

    def __init__(self, settings: FitNetSettings, student_channels: int, teacher_channels: int) -> None:
        super().__init__()
        self.settings = settings
        self.align = nn.Conv2d(student_channels, teacher_channels, kernel_size=1, bias=False)

    def forward(
        self, student: SegOutput, teacher: SegOutput, target: Tensor, context: StepContext
    ) -> dict[str, Tensor]:
        taught = teacher.feature(self.settings.teacher_feature)
        aligned = self.align(student.feature(self.settings.student_feature))
        return {"hint": hint(onto_grid_of(taught, aligned, student=student, teacher=teacher), taught)}


def build_fitnet(settings: FitNetSettings, pair: Pair) -> FitNet:
    student, teacher = pair.student[settings.student_feature], pair.teacher[settings.teacher_feature]
    return FitNet(settings, student.channels, teacher.channels)
