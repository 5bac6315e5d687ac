"""KD: the student's logits follow the teacher's, pixel by pixel, before upsampling."""

from typing import Literal

from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from distill.losses.logits import KdReduction, logit_kd
from distill.methods.grid import onto_grid_of
from distill.methods.method import Method, MethodSettings, Pair, StepContext
from distill.networks.output import SegOutput


class KdSettings(MethodSettings):
    """Logit distillation. Defaults are the published values (CIRKD, Af-DCD).

    The authors of IFVD and CWD: `reduction: element_mean, weight: 10`. Those of SKD: `batch_sum` and 10.
    """

    name: Literal["kd"] = "kd"
    weight: NonNegativeFloat = 1.0
    temperature: PositiveFloat = 1.0
    reduction: KdReduction = "pixel_mean"

    def weights(self) -> dict[str, float]:
        return {"logits": self.weight}


class Kd(Method):
    """Student logits on a coarser or finer grid than the teacher's are brought onto it."""

    def __init__(self, settings: KdSettings) -> None:
        super().__init__()
        self.settings = settings

    def forward(
        self, student: SegOutput, teacher: SegOutput, target: Tensor, context: StepContext
    ) -> dict[str, Tensor]:
        loss = logit_kd(
            onto_grid_of(teacher.logits, student.logits, student=student, teacher=teacher),
            teacher.logits,
            temperature=self.settings.temperature,
            reduction=self.settings.reduction,
        )
        if self.settings.reduction == "batch_sum":
            loss = loss * context.shards  # their gradients are averaged, and shall add up
        return {"logits": loss}


def build_kd(settings: KdSettings, pair: Pair) -> Kd:
    return Kd(settings)
