"""Af-DCD: imitate the teacher's features, and tell each of them from its neighbours in space and channels.

Source: Fan et al., "Augmentation-free Dense Contrastive Knowledge Distillation for Efficient Semantic
Segmentation", NeurIPS 2023, and the authors' code. The published objective adds logit distillation: list the
method `kd` beside it.
"""

from typing import Any, Literal, NamedTuple, Self

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator, model_validator
from torch import Tensor

from distill.losses.contrast import Negatives, check_groups, omni_contrast
from distill.losses.imitation import imitation
from distill.losses.patch_rows import Distance
from distill.losses.reduce import Reduce
from distill.losses.spread import LossNormalisation
from distill.methods.generator import GeneratorName, StudentPath
from distill.methods.masks import centre_mask, random_mask
from distill.methods.method import Method, MethodSettings, Pair, StepContext
from distill.networks.output import SegOutput

Contrasting = Literal["omni", "spatial", "channel", "spatial_and_channel"]


class View(NamedTuple):
    """What one contrastive loss tells apart."""

    groups: int
    patch: tuple[int, int]
    negatives: Negatives


class AfDcdSettings(MethodSettings):
    """Defaults are the published values, the weights those of Cityscapes.

    Imitation alone is `contrast: false`.
    """

    name: Literal["afdcd"] = "afdcd"
    student_feature: str = "stage4"
    teacher_feature: str = "stage4"
    normalisation: LossNormalisation = "published"
    """`per_element`: both losses are means in units of the teacher's spread, so weights carry over."""
    imitation_weight: NonNegativeFloat = 2e-6
    """0 leaves the imitation loss out."""
    contrast: bool = True
    contrast_weight: NonNegativeFloat = 5e-3
    """0, or `contrast: false`, leaves the contrastive loss out."""
    contrasting: Contrasting = "omni"
    """`spatial`: whole pixels of a patch (`groups: 1, negatives: all`); `channel`: the groups of one pixel
    (`patch: 1`); `spatial_and_channel`: the sum of those two; `omni`: groups of all pixels of a patch."""
    groups: PositiveInt = 16
    """Channel groups; must divide the width of the teacher's feature."""
    patch: tuple[PositiveInt, PositiveInt] = (4, 4)
    """(height, width) in pixels of the reduced map, or one number for both."""
    temperature: PositiveFloat = 0.07
    negatives: Negatives = "cross_group"
    distance: Distance = "l1"
    reduce: Reduce = Reduce(pool=4)
    """`pool(K)`, `crop` or `none`, before contrasting."""
    mask: Literal["random", "centre", "none"] = "random"
    mask_ratio: float = Field(default=0.75, ge=0, le=1)
    """Share of the pixels that the random mask erases."""
    generator: GeneratorName = "plain"

    @field_validator("patch", mode="before")
    @classmethod
    def _square(cls, value: Any) -> Any:
        return (value, value) if isinstance(value, int) else value

    @model_validator(mode="after")
    def _has_something_to_learn(self) -> Self:
        if not self.contrasts and self.imitation_weight == 0:
            raise ValueError(
                "contrast is off and imitation_weight is 0: nothing is left. Drop the method instead"
            )
        for view in self.views() if self.contrasts else ():
            if view.groups == 1 and (view.negatives == "cross_group" or view.patch == (1, 1)):
                raise ValueError(
                    "groups: 1 leaves nothing to contrast with. Use negatives: all with patches of several "
                    "pixels (contrasting: spatial), or more groups"
                )
        return self

    def views(self) -> tuple[View, ...]:
        """The contrastive losses that are summed."""
        spatial = View(1, self.patch, "all")
        channel = View(self.groups, (1, 1), "cross_group")
        return {
            "omni": (View(self.groups, self.patch, self.negatives),),
            "spatial": (spatial,),
            "channel": (channel,),
            "spatial_and_channel": (spatial, channel),
        }[self.contrasting]

    @property
    def contrasts(self) -> bool:
        """Whether the contrastive loss is computed at all."""
        return self.contrast and self.contrast_weight > 0

    def weights(self) -> dict[str, float]:
        weights = {}
        if self.imitation_weight > 0:
            weights["imitation"] = self.imitation_weight
        if self.contrasts:
            weights["contrast"] = self.contrast_weight
        return weights

    def student_features(self) -> frozenset[str]:
        return frozenset({self.student_feature})

    def teacher_features(self) -> frozenset[str]:
        return frozenset({self.teacher_feature})


class AfDcd(Method):
    """Holds the alignment and the generator. The convolutions run under autocast, the losses in float32."""

    def __init__(self, settings: AfDcdSettings, path: StudentPath) -> None:
        super().__init__()
        self.settings = settings
        self.path = path

    def forward(
        self, student: SegOutput, teacher: SegOutput, target: Tensor, context: StepContext
    ) -> dict[str, Tensor]:
        settings = self.settings
        taught = teacher.feature(settings.teacher_feature).detach()
        grid = (taught.shape[2], taught.shape[3])
        generated = self.path(
            student.feature(settings.student_feature),
            self._mask(grid, taught.device, context),
            covers=student.padded_size,
            grid=grid,
            grid_covers=teacher.padded_size,
        )
        terms = {}
        if settings.imitation_weight > 0:
            terms["imitation"] = imitation(generated, taught, normalisation=settings.normalisation)
        if settings.contrasts:
            views = [self._contrast(view, generated, taught) for view in settings.views()]
            terms["contrast"] = torch.stack(views).sum()
        return terms

    def _contrast(self, view: View, generated: Tensor, taught: Tensor) -> Tensor:
        settings = self.settings
        return omni_contrast(
            settings.reduce(generated, view.patch),
            settings.reduce(taught, view.patch),
            groups=view.groups,
            patch=view.patch,
            temperature=settings.temperature,
            negatives=view.negatives,
            distance=settings.distance,
            normalisation=settings.normalisation,
        )

    def _mask(self, grid: tuple[int, int], device: torch.device, context: StepContext) -> Tensor | None:
        if self.settings.mask == "random":
            return random_mask(context.uniform(*grid, device), self.settings.mask_ratio)
        return centre_mask(*grid, device) if self.settings.mask == "centre" else None


def build_afdcd(settings: AfDcdSettings, pair: Pair) -> AfDcd:
    """Raises ShapeError if the groups do not divide the teacher's feature."""
    student_channels = pair.student[settings.student_feature].channels
    teacher_channels = pair.teacher[settings.teacher_feature].channels
    for view in settings.views() if settings.contrasts else ():
        check_groups(teacher_channels, view.groups)
    return AfDcd(settings, StudentPath.build(student_channels, teacher_channels, settings.generator))
