"""SKD: the student follows the teacher pixel by pixel, in pairs of regions, and as a whole.

Source: Liu et al., "Structured Knowledge Distillation for Semantic Segmentation", CVPR 2019, in the forms
of its authors' code and of CIRKD's.
"""

from typing import Literal

from pydantic import Field, NonNegativeFloat
from torch import Tensor

from distill.losses.logits import KdReduction, logit_kd
from distill.losses.pair_wise import PairForm, pair_wise
from distill.methods.adversary import Adversary, AdversarySettings, build_adversary
from distill.methods.grid import onto_grid_of
from distill.methods.method import Method, MethodSettings, Pair, StepContext
from distill.networks.output import SegOutput


class SkdSettings(MethodSettings):
    """Structured distillation. Defaults are the values of CIRKD's comparison.

    The pixel-wise term is that of `kd`, the adversarial one that of `adversarial`: do not list those too.
    A weight of 0 leaves its term out.
    SKD's authors: `pixel_weight: 10, pixel_reduction: batch_sum, pair_weight: 0.5, pair_form: half_map,
    adversarial_weight: 0.1` and the `adversary` of `AdversarySettings`.
    """

    name: Literal["skd"] = "skd"
    pixel_weight: NonNegativeFloat = 1.0
    pixel_reduction: KdReduction = "pixel_mean"
    pair_weight: NonNegativeFloat = 10.0
    pair_form: PairForm = "pool2"
    pool_scale: float = Field(default=0.5, gt=0, le=1)
    """Side of a `half_map` window as a share of the map's."""
    student_feature: str = "head"
    teacher_feature: str = "head"
    adversarial_weight: NonNegativeFloat = 0.001
    adversary: AdversarySettings = AdversarySettings()

    def weights(self) -> dict[str, float]:
        weights = {
            "pixel": self.pixel_weight,
            "pair": self.pair_weight,
            "adversarial": self.adversarial_weight,
        }
        return {term: weight for term, weight in weights.items() if weight > 0}

    def student_features(self) -> frozenset[str]:
        return frozenset({self.student_feature} if self.pair_weight > 0 else ())

    def teacher_features(self) -> frozenset[str]:
        return frozenset({self.teacher_feature} if self.pair_weight > 0 else ())


class Skd(Method):
    """Trains the discriminator alone: the pair-wise term needs no equal widths."""

    def __init__(self, settings: SkdSettings, adversary: Adversary | None) -> None:
        super().__init__()
        self.settings = settings
        self.adversary = adversary

    def forward(
        self, student: SegOutput, teacher: SegOutput, target: Tensor, context: StepContext
    ) -> dict[str, Tensor]:
        settings = self.settings
        logits = onto_grid_of(teacher.logits, student.logits, student=student, teacher=teacher)
        terms = {}
        if settings.pixel_weight > 0:
            loss = logit_kd(logits, teacher.logits, temperature=1.0, reduction=settings.pixel_reduction)
            is_sum = settings.pixel_reduction == "batch_sum"
            terms["pixel"] = loss * context.shards if is_sum else loss  # averaged gradients shall add up
        if settings.pair_weight > 0:
            taught = teacher.feature(settings.teacher_feature)
            feature = student.feature(settings.student_feature)
            terms["pair"] = pair_wise(
                onto_grid_of(taught, feature, student=student, teacher=teacher),
                taught,
                form=settings.pair_form,
                pool_scale=settings.pool_scale,
            )
        if self.adversary is not None:
            terms["adversarial"] = self.adversary(logits, teacher.logits)
        return terms

    def finish_step(self, context: StepContext) -> None:
        if self.adversary is not None:
            self.adversary.train_discriminator(context)

    def own_losses(self) -> dict[str, Tensor]:
        return self.adversary.own_losses if self.adversary is not None else {}


def build_skd(settings: SkdSettings, pair: Pair) -> Skd:
    """Raises SettingsError where it is known already that the logits are too small for the discriminator."""
    adversary = build_adversary(settings.adversary, pair) if settings.adversarial_weight > 0 else None
    return Skd(settings, adversary)
