"""The adversarial term alone, to list beside any method: the student's logits deceive a discriminator."""

from typing import Literal

from pydantic import PositiveFloat
from torch import Tensor

from distill.methods.adversary import Adversary, AdversarySettings, build_adversary
from distill.methods.grid import onto_grid_of
from distill.methods.method import Method, MethodSettings, Pair, StepContext
from distill.networks.output import SegOutput


class AdversarialSettings(MethodSettings):
    """Defaults are the values of CIRKD's comparison, which adds this term to SKD, IFVD and CWD.

    `skd` has it already: do not list both.
    """

    name: Literal["adversarial"] = "adversarial"
    weight: PositiveFloat = 0.001
    adversary: AdversarySettings = AdversarySettings()

    def weights(self) -> dict[str, float]:
        return {"deceive": self.weight}


class Adversarial(Method):
    """Holds the adversary, which it trains after each step of the student."""

    def __init__(self, adversary: Adversary) -> None:
        super().__init__()
        self.adversary = adversary

    def forward(
        self, student: SegOutput, teacher: SegOutput, target: Tensor, context: StepContext
    ) -> dict[str, Tensor]:
        logits = onto_grid_of(teacher.logits, student.logits, student=student, teacher=teacher)
        return {"deceive": self.adversary(logits, teacher.logits)}

    def finish_step(self, context: StepContext) -> None:
        self.adversary.train_discriminator(context)

    def own_losses(self) -> dict[str, Tensor]:
        return self.adversary.own_losses


def build_adversarial(settings: AdversarialSettings, pair: Pair) -> Adversarial:
    """Raises SettingsError where it is known already that the logits will be too small."""
    return Adversarial(build_adversary(settings.adversary, pair))
