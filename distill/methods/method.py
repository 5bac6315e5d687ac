"""What a distillation method is: settings, a declaration of needs, and a module that returns named losses."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import torch
from pydantic import model_validator
from torch import Tensor, nn

from distill.distributed import Processes
from distill.methods.preparation import Preparation, PreparationPlan
from distill.networks.output import FeatureInfo, SegOutput
from distill.transfer import to_device
from modelpack.settings import StrictModel


class MethodSettings(StrictModel):
    """Base of every method's settings. `name` is the key in the table `METHODS`."""

    name: str

    @model_validator(mode="after")
    def _has_something_to_learn(self) -> Self:
        if not self.weights():
            raise ValueError("no term has a weight: nothing is left. Drop the method instead")
        return self

    def weights(self) -> dict[str, float]:
        """Weight of each loss term that the module returns, by the term's name; at least one."""
        raise NotImplementedError

    def student_features(self) -> frozenset[str]:
        """Names of the student features that the loss reads."""
        return frozenset()

    def teacher_features(self) -> frozenset[str]:
        return frozenset()

    def needs_labels(self) -> bool:
        """Whether the loss reads `target`; such a method cannot learn from images alone."""
        return False

    def needs_teacher_aux(self) -> bool:
        """Whether the loss reads the teacher's auxiliary logits, where the teacher has them."""
        return False

    def preparation(self) -> PreparationPlan | None:
        """What must be learned from the teacher before the student's first step; None: nothing."""
        return None


@dataclass(frozen=True)
class Pair:
    """What a method may know of the two networks when it is built."""

    student: Mapping[str, FeatureInfo]
    teacher: Mapping[str, FeatureInfo]
    num_classes: int
    image_size: tuple[int, int] | None = None
    """(height, width) in pixels of the images to be trained on, where it is known."""
    prepared: Preparation | None = None
    """What this method learned from the teacher, for a method that has a preparation."""


@dataclass(frozen=True)
class StepContext:
    """What a method may know of the step: everything random in it comes from here."""

    step: int
    """Optimiser steps done before this one."""
    sample_seeds: tuple[int, ...]
    """One number per image, from (run seed, epoch, index): the same on any number of processes."""
    total_steps: int = 1
    """Optimiser steps of the whole run."""
    processes: Processes = field(default_factory=Processes)
    """Those that share the batch: `gather` gives what all of them hold, in the order of the global batch."""
    shards: int = 1
    """Equal parts of the global batch, over processes and accumulation; gradients are averaged over them."""

    def uniform(self, height: int, width: int, device: torch.device) -> Tensor:
        """(N, 1, height, width) float32 in [0, 1), each image from its seed: sharding changes nothing."""
        maps = []
        for seed in self.sample_seeds:
            generator = torch.Generator().manual_seed(seed)
            maps.append(torch.rand(1, height, width, generator=generator))
        return to_device(torch.stack(maps), device)


class Method(nn.Module):
    """A method ready to be trained with: holds its own trainable adapters, if any.

    Its parameters are trained with the student and its buffers are saved with the run. Parameters that do not
    require a gradient when it is built are left alone: a method may train those itself in `finish_step`, with
    an optimiser whose state it returns from `get_extra_state`.
    """

    @abstractmethod
    def forward(
        self, student: SegOutput, teacher: SegOutput, target: Tensor, context: StepContext
    ) -> dict[str, Tensor]:
        """Raw (unweighted) loss terms by name, each () float32.

        target: (N, H, W) uint8 labels at image size, 255 = ignored. No gradient reaches the teacher.
        """

    def finish_step(self, context: StepContext) -> None:
        """Called after the student's update, once for each optimiser step.

        context: of all images of this process in the step, also where `forward` saw them in several parts.
        """

    def own_losses(self) -> dict[str, Tensor]:
        """Raw losses by name of what the method trained itself in the last `finish_step`; () each, no graph.

        They are logged beside the terms and enter no sum.
        """
        return {}
