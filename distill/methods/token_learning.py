"""MasKD's first stage: tokens whose regions are all that the teacher needs to see, and do not overlap."""

from typing import Any

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from distill.losses.masked import mask_overlap
from distill.losses.task import cross_entropy
from distill.methods.preparation import Lesson, Preparation, PreparationSettings
from distill.methods.receptive_tokens import ReceptiveTokens
from distill.networks.output import SegNetwork, SegOutput
from distill.networks.replace_feature import feature_replaced, module_of_feature

LOGITS = "logits"


class TokenSettings(PreparationSettings):
    """Defaults are the published values of the segmentation release.

    Detection, which learns on features, has Adam with lr 0.01 and 2000 steps there; here both learn alike.
    """

    steps: PositiveInt | None = 10_000
    weight_decay: float = 1e-3
    count: PositiveInt = 8
    """Tokens for the logits."""
    feature_count: PositiveInt = 6
    """Tokens for the feature."""


class TokenLearning(Preparation):
    """Tokens for the teacher's logits, for one of its features, or both.

    The teacher's map is replaced by the sum of its masked copies. What is minimised is the cross-entropy of
    the logits that come of it, and the masks' overlap. The teacher stays in evaluation mode; the published
    script leaves its norms in training mode.
    """

    def __init__(self, logits: ReceptiveTokens | None, feature: ReceptiveTokens | None, name: str) -> None:
        """name: of the teacher's feature that the second are for."""
        super().__init__()
        self.logits, self.feature, self.name = logits, feature, name
        self._place: tuple[nn.Module, ...] = ()  # in a tuple, so that the teacher's module is not one of ours

    def forward(self, teacher: SegNetwork, lesson: Lesson) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = {}
        if self.logits is not None:
            with torch.no_grad():
                taught = teacher(lesson.images)
            masked, masks = self.logits.masked(taught.logits)
            terms |= _terms("logits", masked, masks, taught, lesson)
        if self.feature is not None:
            taught, masks = self._with_masked_feature(self.feature, teacher, lesson.images)
            terms |= _terms("feature", taught.logits, masks, taught, lesson)
        return terms

    def _with_masked_feature(
        self, tokens: ReceptiveTokens, teacher: SegNetwork, images: Tensor
    ) -> tuple[SegOutput, Tensor]:
        """What the teacher makes of its masked feature, and the masks."""
        if not self._place:
            self._place = (module_of_feature(teacher, self.name, images),)
        found: list[Tensor] = []

        def mask(feature: Any) -> Tensor:
            masked, masks = tokens.masked(feature)
            found.append(masks)
            return masked

        with feature_replaced(self._place[0], mask):
            taught: SegOutput = teacher(images)
        return taught, found[-1]


def _terms(name: str, logits: Tensor, masks: Tensor, taught: SegOutput, lesson: Lesson) -> dict[str, Tensor]:
    task = cross_entropy(
        logits, lesson.target, padded_size=taught.padded_size, valid_pixels=lesson.valid_pixels
    )
    return {f"{name}_task": task, f"{name}_overlap": mask_overlap(masks)}
