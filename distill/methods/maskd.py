"""MasKD: the student's logits and features equal the teacher's, region by region, as learned tokens find
them.

Source: Huang et al., "Masked Distillation with Receptive Tokens", ICLR 2023, and the authors' code, whose
segmentation release compares logits and whose detection release compares features.
"""

from pathlib import Path
from typing import Literal

import torch
from pydantic import NonNegativeFloat, NonNegativeInt
from torch import Tensor, nn

from distill.losses.masked import masked_error, weighted_masked_error
from distill.methods.grid import onto_grid_of
from distill.methods.method import Method, MethodSettings, Pair, StepContext
from distill.methods.preparation import PreparationPlan
from distill.methods.receptive_tokens import ReceptiveTokens
from distill.methods.token_learning import LOGITS, TokenLearning, TokenSettings
from distill.networks.output import SegOutput


class MaskdSettings(MethodSettings):
    """Defaults are the published values for segmentation: logits alone, no `kd` beside them."""

    name: Literal["maskd"] = "maskd"
    logits_weight: NonNegativeFloat = 1.0
    """0 leaves the logits out."""
    aux_weight: NonNegativeFloat = 0.4
    """Share of the auxiliary heads in the logits' term, by the same tokens, where both networks have one."""
    feature_weight: NonNegativeFloat = 0.0
    """0 leaves the feature out. Published for detection: 7."""
    student_feature: str = "head"
    teacher_feature: str = "head"
    customise_from: NonNegativeInt | None = None
    """Optimiser step from which on the masks of the feature are multiplied with those that the same tokens
    find in the student's. None: never. Published for detection: 7000."""
    tokens: TokenSettings = TokenSettings()
    """How the tokens are learned before the student's first step."""
    tokens_from: Path | None = None
    """Folder of finished ones (`OUTPUT/prepared/maskd-...` of a run), learned from the same teacher."""

    def weights(self) -> dict[str, float]:
        weights = {"logits": self.logits_weight, "feature": self.feature_weight}
        return {term: weight for term, weight in weights.items() if weight > 0}

    def student_features(self) -> frozenset[str]:
        return frozenset({self.student_feature} if self.feature_weight > 0 else ())

    def teacher_features(self) -> frozenset[str]:
        return frozenset({self.teacher_feature} if self.feature_weight > 0 else ())

    def needs_labels(self) -> bool:
        """Its tokens are learned with labels; the distillation itself reads none."""
        return self.tokens_from is None

    def needs_teacher_aux(self) -> bool:
        return self.logits_weight > 0 and self.aux_weight > 0

    def preparation(self) -> PreparationPlan:
        logits = (LOGITS,) if self.logits_weight > 0 else ()
        return PreparationPlan(self.tokens, (*logits, *sorted(self.teacher_features())), self.tokens_from)


class Maskd(Method):
    """Holds the tokens, which stay as they are, and the aligner of the student's feature, if it needs one."""

    def __init__(self, settings: MaskdSettings, tokens: TokenLearning, align: nn.Module) -> None:
        super().__init__()
        self.settings = settings
        self.tokens = tokens.requires_grad_(False)
        self.align = align

    def forward(
        self, student: SegOutput, teacher: SegOutput, target: Tensor, context: StepContext
    ) -> dict[str, Tensor]:
        terms = {}
        if self.tokens.logits is not None:
            terms["logits"] = self._logits(self.tokens.logits, student, teacher)
        if self.tokens.feature is not None:
            terms["feature"] = self._feature(self.tokens.feature, student, teacher, context)
        return terms

    def _logits(self, tokens: ReceptiveTokens, student: SegOutput, teacher: SegOutput) -> Tensor:
        """Of both heads where there are two; the masks of each come of the teacher's logits of that head."""
        heads = [(student.logits, teacher.logits, 1.0)]
        if student.aux_logits is not None and teacher.aux_logits is not None:
            heads.append((student.aux_logits, teacher.aux_logits, self.settings.aux_weight))
        errors = []
        for learned, taught, share in heads:
            on_grid = onto_grid_of(taught, learned, student=student, teacher=teacher)
            errors.append(share * masked_error(on_grid, taught, tokens.masks(taught.detach())))
        return torch.stack(errors).sum()

    def _feature(
        self, tokens: ReceptiveTokens, student: SegOutput, teacher: SegOutput, context: StepContext
    ) -> Tensor:
        settings = self.settings
        taught = teacher.feature(settings.teacher_feature).detach()
        aligned = onto_grid_of(
            taught, self.align(student.feature(settings.student_feature)), student=student, teacher=teacher
        )
        masks = tokens.masks(taught)
        if settings.customise_from is not None and context.step >= settings.customise_from:
            masks = masks * tokens.masks(aligned.detach())
        return weighted_masked_error(aligned, taught, masks, tokens.token_weights(taught))


def prepare_maskd(settings: MaskdSettings, pair: Pair) -> TokenLearning:
    """Tokens as they are before they have learned anything."""
    options, logits, feature = settings.tokens, None, None
    if settings.logits_weight > 0:
        logits = ReceptiveTokens(pair.num_classes, options.count, is_weighted=False)
    if settings.feature_weight > 0:
        width = pair.teacher[settings.teacher_feature].channels
        feature = ReceptiveTokens(width, options.feature_count, is_weighted=True)
    return TokenLearning(logits, feature, settings.teacher_feature)


def build_maskd(settings: MaskdSettings, pair: Pair) -> Maskd:
    """A student's feature of another width than the teacher's goes through a 1x1 convolution (published)."""
    assert isinstance(pair.prepared, TokenLearning)
    align: nn.Module = nn.Identity()
    if settings.feature_weight > 0:
        widths = (
            pair.student[settings.student_feature].channels,
            pair.teacher[settings.teacher_feature].channels,
        )
        if widths[0] != widths[1]:
            align = nn.Conv2d(*widths, kernel_size=1)
    return Maskd(settings, pair.prepared, align)
