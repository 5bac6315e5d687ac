"""CIRKD: the student relates pixels to each other, and to a memory of many images, as the teacher does.

Source: Yang et al., "Cross-Image Relational Knowledge Distillation for Semantic Segmentation", CVPR 2022, and
the authors' code. The published objective adds logit distillation: list the method `kd` beside it.
"""

import logging
from typing import Literal, Self

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor
from torch.nn import functional as F

from distill.losses.memory_relations import memory_relations
from distill.losses.pixel_relations import pixel_relations
from distill.losses.unit_vectors import unit_vectors
from distill.methods.class_memory import ClassMemory
from distill.methods.class_samples import Enqueue
from distill.methods.grid import onto_grid_of
from distill.methods.label_grid import labels_on_grid
from distill.methods.method import Method, MethodSettings, Pair, StepContext
from distill.methods.projection_head import ProjectionHead
from distill.networks.output import SegOutput
from modelpack.errors import SettingsError
from modelpack.labels import IGNORE

log = logging.getLogger(__name__)

_FLOAT32_BYTES = 4


class CirkdSettings(MethodSettings):
    """Defaults are the published values. Pascal VOC: 0.01 for pixels and regions. SegFormer: `pool: 2` and
    `pixel_memory: 2000`.

    The memory takes classes x (pixel_memory + region_memory) x teacher's width x 4 bytes (`memory_bytes`), on
    the device and in every checkpoint: 0.43 GB at 19 classes and 256 channels, 3.4 GB at 150 classes.
    """

    name: Literal["cirkd"] = "cirkd"
    student_feature: str = "head"
    teacher_feature: str = "head"
    minibatch_weight: NonNegativeFloat = 1.0
    """Pixel-to-pixel within the batch; 0 leaves it out."""
    pixel_weight: NonNegativeFloat = 0.1
    """Pixel to remembered pixels; 0 leaves it out, and its memory."""
    region_weight: NonNegativeFloat = 0.1
    """Pixel to remembered regions; 0 leaves it out, and its memory."""
    group: PositiveInt = 2
    """Images that are related to each other: the published batch of one GPU, whatever the batch here."""
    pool: PositiveInt = 1
    """Side, in cells, of the windows that are averaged before that; those at the border may be incomplete.
    Published: none for convolutional students, 2 for SegFormer, 4 in newer code from 256x256 up."""
    minibatch_temperature: PositiveFloat = 0.1
    memory_temperature: PositiveFloat = 0.1
    memory_kd_temperature: PositiveFloat = 1.0
    """Divides the memory's logits once more; those losses are multiplied by its square."""
    pixel_memory: PositiveInt = 20_000
    """Pixels remembered of each class."""
    region_memory: PositiveInt = 2_000
    """Regions remembered of each class."""
    enqueue: Enqueue = "per_class"
    enqueued_pixels: PositiveInt = 16
    """Pixels of each class that an image leaves in the memory, at most."""
    pixel_contrasts: PositiveInt = 4096
    """Remembered pixels that a step compares with: floor(this / classes) + 1 of each class."""
    region_contrasts: PositiveInt = 1024
    """The same for regions."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.enqueued_pixels > self.pixel_memory:
            raise ValueError(
                f"enqueued_pixels ({self.enqueued_pixels}) must not exceed pixel_memory ({self.pixel_memory})"
            )
        return self

    def weights(self) -> dict[str, float]:
        weights = {
            "minibatch": self.minibatch_weight,
            "pixel": self.pixel_weight,
            "region": self.region_weight,
        }
        return {term: weight for term, weight in weights.items() if weight > 0}

    def memory_sizes(self) -> dict[str, int]:
        """Embeddings remembered of each class, by the term that compares with them."""
        sizes = {"pixel": self.pixel_memory, "region": self.region_memory}
        return {term: size for term, size in sizes.items() if term in self.weights()}

    def memory_bytes(self, num_classes: int, channels: int) -> int:
        """What they take in all, `channels` being the width of the teacher's feature."""
        return sum(self.memory_sizes().values()) * num_classes * channels * _FLOAT32_BYTES

    def contrasts(self, num_classes: int) -> dict[str, int]:
        """Embeddings of each class that a step compares with, by term."""
        totals = {"pixel": self.pixel_contrasts, "region": self.region_contrasts}
        return {term: totals[term] // num_classes + 1 for term in self.memory_sizes()}

    def student_features(self) -> frozenset[str]:
        return frozenset({self.student_feature})

    def teacher_features(self) -> frozenset[str]:
        return frozenset({self.teacher_feature})

    def needs_labels(self) -> bool:
        """They say whose memory an embedding goes to, and which pixels are compared with it."""
        return bool(self.memory_sizes())


class Cirkd(Method):
    """Holds the projection head and the memory. A student on another grid is brought onto the teacher's.

    Several processes equal one process on the global batch where `group` divides a process's images; else
    groups end at the process's border. With accumulation, each part is remembered before it is compared, and
    its memory terms are divided by its own valid pixels.
    """

    def __init__(
        self,
        settings: CirkdSettings,
        num_classes: int,
        head: ProjectionHead | None,
        memory: ClassMemory | None,
    ) -> None:
        """Head and memory are None where only the batch is compared."""
        super().__init__()
        self.settings = settings
        self.contrasts = settings.contrasts(num_classes)
        self.head = head
        self.memory = memory

    def forward(
        self, student: SegOutput, teacher: SegOutput, target: Tensor, context: StepContext
    ) -> dict[str, Tensor]:
        settings = self.settings
        taught = teacher.feature(settings.teacher_feature).detach()
        feature = student.feature(settings.student_feature)
        feature = onto_grid_of(taught, feature, student=student, teacher=teacher)
        terms = {}
        if settings.minibatch_weight > 0:
            terms["minibatch"] = pixel_relations(
                average_cells(feature, settings.pool),
                average_cells(taught, settings.pool),
                temperature=settings.minibatch_temperature,
                group=settings.group,
            )
        if self.head is not None and self.memory is not None:
            grid = (taught.shape[2], taught.shape[3])
            labels = labels_on_grid(target, covers=teacher.padded_size, grid=grid)
            embedded, taught = unit_vectors(self.head(feature)), unit_vectors(taught)
            self.memory.remember(taught, labels, context)
            is_valid = labels != IGNORE
            valid_pixels = context.processes.sum(is_valid.sum()) / context.processes.world_size
            for term, remembered in self.memory.draw(self.contrasts, context).items():
                terms[term] = memory_relations(
                    embedded,
                    taught,
                    remembered,
                    is_valid,
                    temperature=settings.memory_temperature,
                    kd_temperature=settings.memory_kd_temperature,
                    valid_pixels=valid_pixels,
                )
        return terms


def average_cells(maps: Tensor, side: int) -> Tensor:
    """Means over windows of `side` x `side` cells, at the border over those cells that are there."""
    return F.avg_pool2d(maps, side, ceil_mode=True) if side > 1 else maps


def build_cirkd(settings: CirkdSettings, pair: Pair) -> Cirkd:
    """Raises SettingsError where a step would compare with more than is remembered."""
    classes = pair.num_classes
    sizes, contrasts = settings.memory_sizes(), settings.contrasts(classes)
    for term, size in sizes.items():
        if contrasts[term] > size:
            raise SettingsError(
                f"cirkd compares with {contrasts[term]} {term}s of each of {classes} classes, but "
                f"{term}_memory is {size}. Enlarge it, or lower {term}_contrasts."
            )
    if not sizes:
        return Cirkd(settings, classes, None, None)
    channels = pair.teacher[settings.teacher_feature].channels
    log.info(
        "cirkd: the memory takes %.3f GB on the device and in every checkpoint",
        settings.memory_bytes(classes, channels) / 1e9,
    )
    return Cirkd(
        settings,
        classes,
        ProjectionHead(pair.student[settings.student_feature].channels, channels),
        ClassMemory(sizes, classes, channels, settings.enqueued_pixels, settings.enqueue),
    )
