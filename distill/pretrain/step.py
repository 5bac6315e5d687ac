"""One pre-training step's loss: two views in, the student's pixels against the teacher's and the queue."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from distill.compute import Compute
from distill.distributed import Processes
from distill.losses.pixel_contrast import image_keys, pixel_contrast
from distill.networks.output import SegNetwork, normalise
from distill.pretrain.pairing import Pairing, at_same_place, on_one_grid
from distill.pretrain.ring_queue import RingQueue
from distill.pretrain.teacher import FrozenTeacher


@dataclass(frozen=True)
class Contrast:
    """How pixels are paired and compared."""

    feature: str
    """Of the student's backbone."""
    pairing: Pairing
    temperature: float


class PretrainStep(nn.Module):
    """The student's backbone and head, the queue, and the frozen teacher; its forward is the objective."""

    def __init__(
        self,
        student: SegNetwork,
        head: nn.Module,
        queue: RingQueue,
        teacher: FrozenTeacher,
        contrast: Contrast,
        compute: Compute,
        processes: Processes,
    ) -> None:
        super().__init__()
        self.student, self.head, self.queue = student, head, queue
        self.contrast, self.compute, self.processes = contrast, compute, processes
        student.requires_grad_(False)  # the decoder, which is thrown away, is not trained
        student.backbone_part().requires_grad_(True)
        # In a tuple, so that the teacher is neither trained, nor saved, nor broadcast with this module.
        self._teacher = (teacher,)

    def forward(self, images: tuple[Tensor, Tensor], places: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """images: both views, (N, H, W, 3) uint8; places: (N, 4), see `View.place`.

        Returns the loss, () float32, and what the queue is to remember of view 1, (N, D).
        """
        with self.compute.autocast():
            students = [self._student_map(view) for view in images]
            taught = [self._teacher[0](view) for view in images]
        first = self._loss(students[0], taught[1], places[0], places[1])
        second = self._loss(students[1], taught[0], places[1], places[0])
        return (first + second) / 2, image_keys(taught[0])

    def _student_map(self, images_nhwc_u8: Tensor) -> Tensor:
        features = self.student.backbone_features(normalise(images_nhwc_u8, self.student.normalisation))
        out: Tensor = self.head(features[self.contrast.feature])
        return out

    def _loss(self, student: Tensor, teacher: Tensor, place: Tensor, teacher_place: Tensor) -> Tensor:
        temperature, vectors = self.contrast.temperature, self.queue.vectors
        if self.contrast.pairing == "grid":
            student, teacher = on_one_grid(student, teacher)
            return pixel_contrast(student, teacher, vectors, temperature=temperature)
        grid = (student.shape[2], student.shape[3])
        partners, is_paired = at_same_place(teacher, teacher_place, place, grid)
        pairs = self.processes.sum(is_paired.sum().float()) / self.processes.world_size
        return pixel_contrast(
            student, partners, vectors, temperature=temperature, is_paired=is_paired, pairs=pairs
        )

    @torch.no_grad()
    def remember(self, keys: Tensor) -> None:
        """Enqueue the keys of all processes, in the order of the global batch; after the backward pass."""
        self.queue.enqueue(self.processes.gather(keys))
