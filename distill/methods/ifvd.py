"""IFVD: the student's pixels differ from the centre of their class as the teacher's do."""

from typing import Literal

from pydantic import NonNegativeFloat
from torch import Tensor

from distill.losses.intra_class import intra_class_variation
from distill.methods.grid import onto_grid_of
from distill.methods.label_grid import LabelResize, labels_on_grid
from distill.methods.method import Method, MethodSettings, Pair, StepContext
from distill.networks.output import SegOutput


class IfvdSettings(MethodSettings):
    """Intra-class feature variation. Defaults are the values of CIRKD's comparison.

    It adds `kd` with weight 1 and `adversarial` with weight 0.001. The authors: weight 200, the same
    `adversarial`, and `{name: kd, reduction: element_mean, weight: 10}`.
    """

    name: Literal["ifvd"] = "ifvd"
    weight: NonNegativeFloat = 20.0
    student_feature: str = "head"
    teacher_feature: str = "head"
    label_resize: LabelResize = "nearest"

    def weights(self) -> dict[str, float]:
        return {"variation": self.weight}

    def student_features(self) -> frozenset[str]:
        return frozenset({self.student_feature})

    def teacher_features(self) -> frozenset[str]:
        return frozenset({self.teacher_feature})

    def needs_labels(self) -> bool:
        return True


class Ifvd(Method):
    """Trains nothing of its own: cosines have no channels. Padded pixels are ignored ones."""

    def __init__(self, settings: IfvdSettings, num_classes: int) -> None:
        super().__init__()
        self.settings = settings
        self.num_classes = num_classes

    def forward(
        self, student: SegOutput, teacher: SegOutput, target: Tensor, context: StepContext
    ) -> dict[str, Tensor]:
        settings = self.settings
        taught = teacher.feature(settings.teacher_feature)
        feature = student.feature(settings.student_feature)
        resized = onto_grid_of(taught, feature, student=student, teacher=teacher)
        grid = (taught.shape[2], taught.shape[3])
        labels = labels_on_grid(target, covers=teacher.padded_size, grid=grid, resize=settings.label_resize)
        return {"variation": intra_class_variation(resized, taught, labels, num_classes=self.num_classes)}


def build_ifvd(settings: IfvdSettings, pair: Pair) -> Ifvd:
    return Ifvd(settings, pair.num_classes)
