"""Af-DCD: imitate the teacher's features, and tell each of them from its neighbours in space and channels.

Source: Fan et al., "Augmentation-free Dense Contrastive Knowledge Distillation for Efficient Semantic
Segmentation", NeurIPS 2023, and the authors' code. The published objective adds logit distillation: list the
method `kd` beside it.
"""

import logging
from typing import Annotated, Any, Literal, NamedTuple, Self

import torch
from pydantic import (
    AfterValidator,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)
from torch import Tensor

from distill.losses.contrast import check_groups, omni_contrast
from distill.losses.contrasting.problem import Distance, Negatives
from distill.losses.imitation import imitation
from distill.losses.reduce import Reduce
from distill.losses.spread import LossNormalisation
from distill.methods.generator import check_generator
from distill.methods.generator_cost import generator_cost
from distill.methods.masks import centre_mask, random_mask
from distill.methods.method import Method, MethodSettings, Pair, StepContext
from distill.methods.student_path import WHOLE_MAP, StudentPath
from distill.networks.output import SegOutput

log = logging.getLogger(__name__)

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
    generator: Annotated[str, AfterValidator(check_generator)] = "plain"
    """Published: `plain` and `enhanced`. Cheaper: `bottleneck(REDUCTION)`, `grouped(GROUPS)`, `separable`."""
    generator_on: Literal["full", "pooled"] = "full"
    """`pooled` (not published): generate on the map that `reduce` pools; both losses compare pooled maps."""

    @field_validator("patch", mode="before")
    @classmethod
    def _square(cls, value: Any) -> Any:
        return (value, value) if isinstance(value, int) else value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.generator_on == "pooled" and self.reduce.pool == 1:
            raise ValueError(
                f"generator_on: pooled has nothing to pool by with reduce: {self.reduce}. "
                "Give reduce: pool(K), or generator_on: full"
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
    def reductions(self) -> tuple[Reduce | None, Reduce]:
        """What reduces the maps before the generator, and what reduces them before the contrast."""
        return (self.reduce, Reduce()) if self.generator_on == "pooled" else (None, self.reduce)

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
        if self.path.pool is not None:
            taught = self.path.pool(taught, WHOLE_MAP)
        generated = self.path(
            student.feature(settings.student_feature),
            self._mask((taught.shape[2], taught.shape[3]), taught.device, context),
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
        _, reduce = settings.reductions
        return omni_contrast(
            reduce(generated, view.patch),
            reduce(taught, view.patch),
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
    """Raises ShapeError if the groups, or the generator's number, do not divide the teacher's channels."""
    student_channels = pair.student[settings.student_feature].channels
    teacher = pair.teacher[settings.teacher_feature]
    for view in settings.views() if settings.contrasts else ():
        check_groups(teacher.channels, view.groups)
    pool, _ = settings.reductions
    path = StudentPath.build(student_channels, teacher.channels, settings.generator, pool)
    if pair.image_size is not None:
        pooling = pool.pool if pool else 1
        height, width = (max(1, -(-side // teacher.stride) // pooling) for side in pair.image_size)
        cost = generator_cost(path.generator, (height, width))
        log.info(
            "afdcd: generator %s on %d x %d x %d: %.2f M parameters, %.2f GMAC an image",
            *(settings.generator, teacher.channels, height, width, cost.parameters / 1e6, cost.macs / 1e9),
        )
    return AfDcd(settings, path)
